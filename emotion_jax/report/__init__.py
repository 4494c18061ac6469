"""Reports for people to read: tables and pictures of data sets and evaluations."""
