"""The exercises of the notebooks: right answers and typical mistakes, computed from the data."""
