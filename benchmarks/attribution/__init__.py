"""What `benchmarks/attribution.py` runs, keeps and says."""
