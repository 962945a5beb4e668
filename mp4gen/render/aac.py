"""The AAC that every player decodes: AAC-LC, mono or stereo, at most 48 kHz. Encodes nothing."""

from .header import Header

RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_MAX_CHANNELS = 2
_LOW_COMPLEXITY = 2
# The encoder turns down every 21 ms frame that peaks above this; the level would wobble.
MAX_PEAK = 0.95
_TARGET_PEAK = 0.94
# A decoder accepts 6. Near that limit the encoder tries each frame again and again.
_MAX_BITS_PER_SAMPLE = 5


def rate_for(rate: int) -> int:
    """Return the sample rate to encode at: the input's up to 48 kHz, else 44.1 or 48 kHz."""
    if rate > RATES[-1]:
        return 44100 if rate % 44100 == 0 else 48000
    return next(known for known in RATES if known >= rate)


def layout_for(channels: int) -> str:
    """Return the layout to encode in."""
    return "mono" if channels == 1 else "stereo"


def usable_bit_rate(bit_rate: int, rate: int, channels: int) -> int:
    """Return as much of a bit rate as can be used: more bits would only cost time."""
    return min(bit_rate, _MAX_BITS_PER_SAMPLE * rate * channels)


def gain_for(peak: float) -> float:
    """Return the gain for the whole track that keeps the encoder from turning parts of it down."""
    return _TARGET_PEAK / peak if peak > MAX_PEAK else 1.0


def plays_everywhere(header: Header, decoded_profile: str) -> bool:
    """Return whether every player decodes the packets of an AAC file.

    Args:
        header: that of the file, which may declare an extension.
        decoded_profile: the profile after decoding, which reveals an extension not declared.
    """
    return (
        decoded_profile == "LC"
        and _object_type(header.config) == _LOW_COMPLEXITY
        and header.channels <= _MAX_CHANNELS
        and header.sample_rate <= RATES[-1]
    )


def _object_type(config: bytes) -> int:
    """Return the audio object type of an AudioSpecificConfig (ISO 14496-3); ADTS has none."""
    return config[0] >> 3 if config else _LOW_COMPLEXITY
