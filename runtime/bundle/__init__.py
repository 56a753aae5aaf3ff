"""Everything that a station needs in one folder: installed without a network, beside what runs, and taken back."""
