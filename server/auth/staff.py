"""How people come to work for a shop: the first owner by hand, everybody else by invitation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from redis.asyncio import Redis

from server.auth import limits
from server.auth.accounts import letter, normal_email
from server.auth.limits import Limits
from server.auth.passwords import Passwords
from server.auth.revocations import announce, revoked
from server.auth.roles import Role
from server.auth.tokens import digest, new_token
from server.problems import Problem
from server.store import people, staff
from server.store.people import Person
from server.store.pool import Pool, transaction
from server.store.rows import audit, tell
from server.store.staff import Invitation

INVITATION_LIFE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Staff:
    pool: Pool
    redis: Redis
    limits: Limits
    clock: Callable[[], datetime]
    public_url: str

    async def invite(self, shop: staff.Shop, by: Person, email: str, role: Role) -> Invitation:
        """Mail an invitation. Raises Problem `already_member`, `rate_limited`."""
        await self.limits.take(limits.INVITE, by.user_id)
        token, now = new_token(), self.clock()
        async with transaction(self.pool) as db:
            held = await staff.members(db, shop.id)
            if any(member.email == email and member.role == role for member in held):
                raise Problem("already_member")
            invitation = await staff.add_invitation(
                db, shop.id, email, role, digest(token), by.user_id, now + INVITATION_LIFE
            )
            await audit(db, shop.id, by.user_id, "invite", email, {"role": role})
            link = f"{self.public_url}/invite#token={token}"
            values = {"shop": shop.name, "role": str(role), "invited_by": by.display_name, "link": link}
            await tell(db, "mail", letter("invitation", email, **values))
        return invitation

    async def accept(self, person: Person, token: str, client_ip: str) -> None:
        """Take up an invitation; its link proves the address. Raises Problem `bad_token`, `other_address`."""
        await self.limits.take(limits.TOKEN_GUESS, limits.network_of(client_ip))
        async with transaction(self.pool) as db:
            now = self.clock()
            accepted = await staff.use_invitation(db, digest(token), now)
            if accepted is None:
                raise Problem("bad_token")
            if accepted.email != person.email:
                raise Problem("other_address")
            await people.set_verified(db, person.user_id, now)
            await staff.add_member(db, accepted.shop_id, person.user_id, accepted.role)
            role = {"role": accepted.role}
            await audit(db, accepted.shop_id, person.user_id, "accept_invitation", person.email, role)

    async def remove(self, shop_id: str, by: Person, user_id: str, role: Role) -> None:
        """Take a role away; the person is signed out, so that no open room still honours it.

        Raises Problem `no_such_member`, `last_owner`.
        """
        async with transaction(self.pool) as db:
            if role is Role.OWNER:
                owners = await staff.lock_owners(db, shop_id)
                if owners == [user_id]:
                    raise Problem("last_owner")
            if not await staff.remove_member(db, shop_id, user_id, role):
                raise Problem("no_such_member")
            await audit(db, shop_id, by.user_id, "remove_member", user_id, {"role": role})
            keep = by.session_id if by.user_id == user_id else None
            ended = await people.revoke_sessions(db, user_id, self.clock(), keep=keep)
            await revoked(db, ended)
        await announce(self.redis, ended)


async def create_owner(
    pool: Pool, email: str, name: str, password: str, passwords: Passwords | None = None
) -> str:
    """Make somebody an owner, and the shop if there is none; the user's id. Run again, it sets the password.

    The only way to a first owner: signing up never makes one.
    """
    hasher = passwords or Passwords(workers=1)
    password_hash = await hasher.hash(password)
    address = normal_email(email)
    async with transaction(pool) as db:
        await db.execute("SELECT pg_advisory_xact_lock(hashtext('hawker:first-owner'))")
        shop = await staff.the_shop(db) or await staff.add_shop(db, "My shop", contact_email=address)
        user = await people.add_user(db, address, password_hash, name, verified_at=datetime.now(UTC))
        if user is None:
            user = await people.user_by_email(db, address)
            assert user is not None
            await people.set_password(db, user.id, password_hash)
        await staff.add_member(db, shop.id, user.id, Role.OWNER)
        await audit(db, shop.id, None, "create_owner", address)
    if passwords is None:
        hasher.close()
    return user.id
