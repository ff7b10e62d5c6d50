"""What `api.rs` measures the server against: the same lists by FastAPI, straight from the same SQLite file.

It uses the server's own counters and indexes, and does less for each request: no accounts, no limits, no typed views.
Python's SQLite may be older than the search index, so a search reads the newest rows until it has a page.
"""

import json
import os
import sqlite3

from fastapi import FastAPI

app = FastAPI()
db = sqlite3.connect(f"file:{os.environ['DATABASE']}?mode=ro", uri=True, check_same_thread=False)
db.row_factory = sqlite3.Row

LOGS = "SELECT id, at, received_at, decky, service, event_type, hex(attacker_id) AS attacker_id, fields, message, raw FROM logs"
ATTACKERS = "SELECT hex(id) AS id, ip, first_seen, last_seen, event_count, auth_count, command_count, bounty_count FROM attackers"
BOUNTIES = "SELECT id, kind, hex(attacker_id) AS attacker_id, decky, service, principal, value, seen_count, last_seen FROM bounties"


def rows(sql, *values):
    return [dict(row) for row in db.execute(sql, values)]


def page(found):
    return {"data": found, "next": found[-1]["id"] if len(found) == 50 else None}


def logs_where(sql, *values):
    found = rows(f"{LOGS} {sql} ORDER BY id DESC LIMIT 50", *values)
    for row in found:
        row["fields"] = json.loads(row["fields"])
    return page(found)


@app.get("/stats")
async def stats():
    return {row["name"]: row["value"] for row in rows("SELECT name, value FROM counters")}


@app.get("/logs")
async def logs():
    return logs_where("")


@app.get("/logs/filtered")
async def filtered(service: str, before: int):
    return logs_where("WHERE service = ? AND id < ?", service, before)


@app.get("/logs/search")
async def search(text: str):
    return logs_where("WHERE instr(raw, ?)", text)


@app.get("/logs/histogram")
async def histogram():
    return rows("SELECT minute_no, sum(seen_count) AS seen FROM log_buckets WHERE width = 60 GROUP BY minute_no")


@app.get("/attackers")
async def attackers():
    return page(rows(f"{ATTACKERS} ORDER BY last_seen DESC, id DESC LIMIT 50"))


@app.get("/attacker")
async def attacker(ip: str):
    return rows(f"{ATTACKERS} WHERE ip = ?", ip)


@app.get("/deckies")
async def deckies():
    found = rows("SELECT name, desired, spec, archetype, distro, ip, mac, services, state, last_error FROM deckies ORDER BY name")
    return [{**row, "spec": json.loads(row["spec"])} for row in found]


@app.get("/bounty")
async def bounty():
    return page(rows(f"{BOUNTIES} ORDER BY id DESC LIMIT 50"))


@app.get("/config")
async def config():
    return {row["name"]: row["value"] for row in rows("SELECT name, value FROM settings")}


@app.get("/health")
async def health():
    db.execute("SELECT 1").fetchone()
    return {"status": "healthy"}
