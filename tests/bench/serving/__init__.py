"""`make bench-serving`: the vendor beside its peers, on the same weights, pictures and cores."""
