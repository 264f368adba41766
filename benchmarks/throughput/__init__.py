"""What `benchmarks/throughput.py` measures: each side's training of the same networks."""
