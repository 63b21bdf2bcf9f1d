"""oto-trio: an API gateway on Trio with a Rust engine."""
