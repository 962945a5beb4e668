"""Turn music tracks into MP4 videos."""
