"""HTTP: the API, the page's own API, the page, and who may call them."""
