"""Renders on a Dask cluster, without a folder that the machines share."""
