"""Checks every crate that is built against deny.toml: licences and banned crates.

cargo-deny reads the same file and knows more (advisories, sources); this part needs nothing but
Python and runs everywhere.
"""

import json
import re
import subprocess
import sys
import tomllib

with open("deny.toml", "rb") as file:
    rules = tomllib.load(file)
allowed = set(rules["licenses"]["allow"])
banned = {entry["crate"] for entry in rules["bans"]["deny"]}
metadata = json.loads(
    subprocess.run(
        ["cargo", "metadata", "--format-version", "1", "--locked", "--all-features"],
        check=True,
        capture_output=True,
    ).stdout
)
used = {node["id"] for node in metadata["resolve"]["nodes"]}
wrong = []
for package in metadata["packages"]:
    if package["id"] not in used or package["source"] is None:
        continue
    name = f"{package['name']} {package['version']}"
    if package["name"] in banned:
        wrong.append(f"{name} is banned")
    if "crates.io" not in package["source"]:
        wrong.append(f"{name} comes from {package['source']}")
    # One licence of an OR is enough; every part of an AND is needed.
    expression = (package["license"] or "").replace("/", " OR ")
    choices = [re.findall(r"[A-Za-z0-9.\-]+(?: WITH [A-Za-z0-9.\-]+)?", choice)
               for choice in re.split(r"\bOR\b", expression.replace("(", " ").replace(")", " "))]
    fits = any(
        choice and all(part in allowed or part == "AND" for part in choice) for choice in choices
    )
    if not fits:
        wrong.append(f"{name}: licence {package['license']!r} is not allowed")
if wrong:
    sys.exit("\n".join(wrong))
print(f"{len(used)} crates, all allowed")
