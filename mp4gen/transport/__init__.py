"""One API request with everything around it: HTTP, retries, rate limit, circuit breaker."""
