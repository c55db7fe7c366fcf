"""Reads events in CSV and JSON Lines with DuckDB and with Python's own readers, and prints as JSON what all of them have to agree on."""

import csv
import json
import sys

import duckdb

table, lines = sys.argv[1:3]
of_csv = duckdb.sql(f"select event, count(*) from read_csv('{table}') group by event").fetchall()
of_lines = duckdb.sql(
    f"select event, count(*) from read_json('{lines}', format='newline_delimited', union_by_name=true) "
    "where type = 'event' group by event"
).fetchall()
with open(table, newline="") as file:
    rows = list(csv.DictReader(file))
with open(lines) as file:
    told = [json.loads(line) for line in file]
stacks = {one["stack"] for one in told if one["type"] == "stack"}
events = [one for one in told if one["type"] == "event"]
times = [one["time_ns"] for one in events]
print(
    json.dumps(
        {
            "csv": dict(of_csv),
            "lines": dict(of_lines),
            "rows": len(rows),
            "events": len(events),
            "announced": told[0]["events"],
            "same": all(
                int(row["address"]) == one["address"] and row["event"] == one["event"] for row, one in zip(rows, events)
            ),
            "in_order": times == sorted(times),
            "stacks_told": all(one["stack"] in stacks for one in events),
            "functions": sorted({row["function"] for row in rows}),
        }
    )
)
