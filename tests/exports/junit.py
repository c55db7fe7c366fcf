"""Reads JUnit XML with junitparser, and prints what it made of it as JSON."""

import json
import sys

import junitparser

read = junitparser.JUnitXml.fromfile(sys.argv[1])
cases = []
for suite in read:
    for case in suite:
        results = [[type(result).__name__, result.message, result.text] for result in case.result]
        cases.append({"class": case.classname, "name": case.name, "results": results})
totals = {"tests": read.tests, "failures": read.failures, "errors": read.errors, "skipped": read.skipped}
print(json.dumps({"totals": totals, "cases": cases}))
