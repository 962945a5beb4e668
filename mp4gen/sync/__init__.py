"""A blocking client for scripts, notebooks, Flask and Django; all work is that of `mp4gen.Client`.

`import mp4gen` alone does not load this package; `mp4gen.sync` does when it is used.
"""

from .client import Client
from .run import ConversionRun

__all__ = ["Client", "ConversionRun"]

# The package claims its public names.
Client.__module__ = ConversionRun.__module__ = __name__
