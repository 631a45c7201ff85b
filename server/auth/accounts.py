"""What people do with their accounts: sign up, sign in, prove an address, change and reset passwords.

Whatever is worth knowing to an attacker is the same for known and unknown addresses: the time a sign-in
takes, the answer to "forgot". Secrets leave only by mail, in the fragment of a link, which browsers keep to
themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from redis.asyncio import Redis

from server.auth import limits
from server.auth.limits import Limits, network_of
from server.auth.passwords import Passwords
from server.auth.revocations import announce, revoked
from server.auth.tokens import digest, new_token
from server.problems import Problem
from server.store import people
from server.store.people import Person
from server.store.pool import Connection, Pool, transaction
from server.store.rows import tell

SESSION_LIFE = timedelta(days=30)
VERIFY_LIFE = timedelta(days=3)
RESET_LIFE = timedelta(hours=1)
_SEEN_EVERY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session that just began. `token` goes into the cookie and nowhere else."""

    token: str
    person: Person


@dataclass(frozen=True, slots=True)
class Accounts:
    pool: Pool
    redis: Redis
    passwords: Passwords
    limits: Limits
    clock: Callable[[], datetime]
    public_url: str

    async def sign_up(
        self, email: str, password: str, display_name: str, client_ip: str, user_agent: str
    ) -> SignedIn:
        """Raises Problem `email_taken`, `rate_limited`, `busy`."""
        await self.limits.take(limits.SIGN_UP, network_of(client_ip))
        password_hash = await self.passwords.hash(password)
        async with transaction(self.pool) as db:
            user = await people.add_user(db, email, password_hash, display_name)
            if user is None:
                raise Problem("email_taken", fields={"email": "There is an account with this address."})
            await self._mail_verification(db, user.id, email, display_name)
            return await self._begin(db, user.id, user_agent)

    async def sign_in(self, email: str, password: str, client_ip: str, user_agent: str) -> SignedIn:
        """Raises Problem `bad_credentials`, `rate_limited`, `busy`."""
        network = network_of(client_ip)
        await self.limits.take(limits.SIGN_IN_ADDRESS, network)
        await self.limits.take(limits.SIGN_IN_ACCOUNT, f"{network}:{digest(email).hex()[:32]}")
        async with transaction(self.pool) as db:
            user = await people.user_by_email(db, email)
        if not await self.passwords.matches(user.password_hash if user else None, password) or not user:
            raise Problem("bad_credentials")
        fresh = await self.passwords.hash(password) if self.passwords.stale(user.password_hash) else None
        async with transaction(self.pool) as db:
            if fresh:
                await people.set_password(db, user.id, fresh)
            return await self._begin(db, user.id, user_agent)

    async def person(self, token: str) -> Person | None:
        """Who a session cookie belongs to, or None."""
        now = self.clock()
        async with transaction(self.pool) as db:
            person = await people.person_of_session(db, digest(token), now)
            if person and now - person.seen_at > _SEEN_EVERY:
                await people.session_seen(db, person.session_id, now)
        return person

    async def end_session(self, user_id: str, session_id: str) -> bool:
        """Revoke one session, its sockets included; False when it is no session of that person."""
        async with transaction(self.pool) as db:
            if not await people.revoke_session(db, user_id, session_id, self.clock()):
                return False
            await revoked(db, [session_id])
        await announce(self.redis, [session_id])
        return True

    async def change_password(self, person: Person, current: str, new: str) -> None:
        """All other sessions end. Raises Problem `wrong_password`, `rate_limited`."""
        await self.limits.take(limits.SIGN_IN_ACCOUNT, f"change:{person.user_id}")
        async with transaction(self.pool) as db:
            user = await people.user_by_id(db, person.user_id)
        if user is None or not await self.passwords.matches(user.password_hash, current):
            raise Problem("wrong_password", fields={"current": "This is not your password."})
        await self._set_password(person.user_id, await self.passwords.hash(new), keep=person.session_id)

    # --- by mail

    async def verify(self, token: str, client_ip: str) -> str:
        """The person whose address is proven now. Raises Problem `bad_token`."""
        await self.limits.take(limits.TOKEN_GUESS, network_of(client_ip))
        async with transaction(self.pool) as db:
            now = self.clock()
            user_id = await people.use_email_token(db, "verify", digest(token), now)
            if user_id is None:
                raise Problem("bad_token")
            await people.set_verified(db, user_id, now)
        return user_id

    async def resend_verification(self, person: Person) -> None:
        await self.limits.take(limits.RESEND, person.user_id)
        if person.email_verified_at:
            raise Problem("already_verified")
        async with transaction(self.pool) as db:
            await self._mail_verification(db, person.user_id, person.email, person.display_name)

    async def forgot(self, email: str, client_ip: str) -> None:
        """Mail a link to set a new password, if there is such an account; says nothing either way."""
        await self.limits.take(limits.FORGOT, f"{network_of(client_ip)}:{digest(email).hex()[:32]}")
        await self.limits.take(limits.SIGN_UP, f"forgot:{network_of(client_ip)}")
        token = new_token()
        async with transaction(self.pool) as db:
            user = await people.user_by_email(db, email)
            if user is None:
                return
            expires_at = self.clock() + RESET_LIFE
            await people.add_email_token(db, user.id, "reset", digest(token), expires_at)
            link = f"{self.public_url}/account/reset#token={token}"
            await tell(db, "mail", letter("reset", email, name=user.display_name, link=link))

    async def reset(self, token: str, password: str, client_ip: str) -> None:
        """Set a new password; every session ends. The link came by mail, so the address is proven, too."""
        await self.limits.take(limits.TOKEN_GUESS, network_of(client_ip))
        password_hash = await self.passwords.hash(password)
        async with transaction(self.pool) as db:
            now = self.clock()
            user_id = await people.use_email_token(db, "reset", digest(token), now)
            if user_id is None:
                raise Problem("bad_token")
            await people.set_verified(db, user_id, now)
        await self._set_password(user_id, password_hash, keep=None)

    # --- inside

    async def _set_password(self, user_id: str, password_hash: str, *, keep: str | None) -> None:
        async with transaction(self.pool) as db:
            await people.set_password(db, user_id, password_hash)
            ended = await people.revoke_sessions(db, user_id, self.clock(), keep=keep)
            await revoked(db, ended)
        await announce(self.redis, ended)

    async def _begin(self, db: Connection, user_id: str, user_agent: str) -> SignedIn:
        now, token = self.clock(), new_token()
        await people.add_session(db, user_id, digest(token), user_agent[:300], now, now + SESSION_LIFE)
        person = await people.person_of_session(db, digest(token), now)
        assert person is not None
        return SignedIn(token, person)

    async def _mail_verification(self, db: Connection, user_id: str, email: str, name: str) -> None:
        token = new_token()
        await people.add_email_token(db, user_id, "verify", digest(token), self.clock() + VERIFY_LIFE)
        link = f"{self.public_url}/account/verify#token={token}"
        await tell(db, "mail", letter("verify", email, name=name, link=link))


def letter(kind: str, to: str, **values: object) -> dict[str, object]:
    """The outbox payload of one mail: which letter (`server.letters`), to whom, with what in it."""
    return {"letter": kind, "to": to, "values": values}


def normal_email(raw: str) -> str:
    """Addresses are kept in lower case without spaces around."""
    return raw.strip().lower()
