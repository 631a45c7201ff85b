"""A show as a calendar entry (RFC 5545). The same UID at every fetch, a SEQUENCE that grows with changes."""

from __future__ import annotations

from datetime import datetime, timedelta

from icalendar import Alarm, Calendar, Event, vText

from server.store.shows import Show

_PLANNED_LENGTH = timedelta(hours=1)
_REMINDER = timedelta(minutes=-10)


def calendar_of(show: Show, revision: int, public_url: str, now: datetime) -> bytes:
    """`revision` grows with every change to the show."""
    link = f"{public_url}/shows/{show.id}"
    event = Event()
    event.add("uid", f"{show.id}@hawker")
    event.add("dtstamp", now)
    event.add("sequence", revision)
    event.add("summary", show.title)
    event.add("description", f"{show.description}\n\n{link}".strip())
    event.add("url", link)
    event.add("dtstart", show.starts_at)
    ended_at = show.ended_at if show.ended_at and show.ended_at > show.starts_at else None
    event.add("dtend", ended_at or show.starts_at + _PLANNED_LENGTH)
    event.add("status", "CANCELLED" if show.cancelled_at else "CONFIRMED")
    if not show.cancelled_at:
        event.add_component(_reminder(show))
    calendar = Calendar()
    calendar.add("prodid", "-//Hawker//Shows//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add_component(event)
    return bytes(calendar.to_ical())


def _reminder(show: Show) -> Alarm:
    alarm = Alarm()
    alarm.add("action", "DISPLAY")
    alarm.add("description", vText(show.title))
    alarm.add("trigger", _REMINDER)
    return alarm
