"""Records of other teams: their envelopes, schemas and fields."""
