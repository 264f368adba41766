"""The report of a search: one HTML file, computed from what lies in the run's folder."""
