"""Snowflake ids: 64 bits that grow with time, unique over all processes of a service without asking anybody for each.

Layout: 41 bits of milliseconds since 2024, 10 bits of worker number, 12 bits of sequence. See `generator`.
"""
