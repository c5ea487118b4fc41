"""Networks and their pictures: `load`, `Network`, `Preprocessing`, `at`, and the embedded `digits`."""
