"""What podmap ships for the tests of those who use it: contracts and a fake cluster."""
