"""The music library: folders and files, what is known of them, uploads."""
