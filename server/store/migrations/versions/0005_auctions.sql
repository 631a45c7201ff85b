-- Auctions: one unit each, taken off sale while it is up, and a book of bids that is only ever added to.

-- Unix milliseconds, as the room speaks of time, and back.
CREATE FUNCTION unix_ms(at timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT floor(extract(epoch FROM at) * 1000)::bigint $$;
CREATE FUNCTION from_unix_ms(ms bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT to_timestamp(ms / 1000.0) $$;

-- The row is the lock of its auction, and the place from which it is told: `version` grows with each change, up to
-- `told_version` the room has been told for certain. What it says of price and leader can be computed from the book.
CREATE TABLE auctions (
    id                uuid PRIMARY KEY,
    shop_id           uuid NOT NULL REFERENCES shops,
    show_id           uuid NOT NULL REFERENCES shows,
    variant_id        uuid NOT NULL REFERENCES variants,
    state             text NOT NULL CHECK (state IN
                        ('announced', 'open', 'closing', 'charging', 'sold', 'unsold', 'cancelled')),
    start_minor       bigint NOT NULL CHECK (start_minor BETWEEN 1 AND 99999999),
    increment_minor   bigint NOT NULL CHECK (increment_minor BETWEEN 1 AND 99999999),
    duration_ms       bigint NOT NULL CHECK (duration_ms > 0),
    extension_ms      bigint NOT NULL CHECK (extension_ms >= 0),            -- 0: sudden death
    max_extension_ms  bigint NOT NULL CHECK (max_extension_ms >= 0),
    latency_window_ms bigint NOT NULL CHECK (latency_window_ms BETWEEN 0 AND 10000),
    misbid_ms         bigint NOT NULL CHECK (misbid_ms >= 0),
    reserve_minor     bigint NOT NULL DEFAULT 0 CHECK (reserve_minor >= 0), -- hidden; 0: none
    alias_key         bytea NOT NULL,                                       -- of the bidders' pseudonyms
    last_n            integer NOT NULL DEFAULT 0,                           -- of the book
    bids              integer NOT NULL DEFAULT 0,
    price_minor       bigint NOT NULL,
    next_minor        bigint NOT NULL,
    leader_id         uuid,
    reserve_met       boolean NOT NULL DEFAULT false,
    ends_at           timestamptz,                                          -- the hammer
    cap_at            timestamptz,
    version           bigint NOT NULL DEFAULT 1,
    told_version      bigint NOT NULL DEFAULT 0,
    announced_by      uuid,
    created_at        timestamptz NOT NULL DEFAULT now(),
    opened_at         timestamptz,
    ended_at          timestamptz,
    updated_at        timestamptz NOT NULL DEFAULT now(),
    CHECK ((ends_at IS NULL) = (cap_at IS NULL)),
    CHECK (ends_at <= cap_at)
);
CREATE INDEX auctions_show ON auctions (show_id, created_at DESC);
CREATE INDEX auctions_under_way ON auctions (ends_at) WHERE state IN ('open', 'closing', 'charging');
CREATE INDEX auctions_untold ON auctions (updated_at) WHERE told_version < version;

-- Who was let in to bid: with an address and a card that could be charged on that day. `user_id` stays a number when
-- the person is erased.
CREATE TABLE auction_bidders (
    auction_id  uuid NOT NULL REFERENCES auctions,
    user_id     uuid NOT NULL,
    alias       text NOT NULL,
    card_id     uuid NOT NULL,
    admitted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (auction_id, user_id),
    UNIQUE (auction_id, alias)
);
CREATE INDEX auction_bidders_user ON auction_bidders (user_id);

-- The book: bids, and misbids taken back (`takes_back` names the bid). Numbered without gaps.
CREATE TABLE auction_book (
    auction_id   uuid NOT NULL,
    n            integer NOT NULL CHECK (n >= 1),
    user_id      uuid NOT NULL,
    command_id   text NOT NULL,
    max_minor    bigint NOT NULL CHECK (max_minor > 0),
    amount_minor bigint NOT NULL CHECK (amount_minor BETWEEN 1 AND max_minor),
    media_time   bigint CHECK (media_time BETWEEN 0 AND 4294967295),        -- RTP time of the picture the bidder saw
    takes_back   integer,
    received_at  timestamptz NOT NULL,
    decided_at   timestamptz NOT NULL,
    PRIMARY KEY (auction_id, n),
    UNIQUE (auction_id, user_id, command_id),
    UNIQUE (auction_id, takes_back),
    FOREIGN KEY (auction_id, user_id) REFERENCES auction_bidders,
    FOREIGN KEY (auction_id, takes_back) REFERENCES auction_book (auction_id, n),
    CHECK (takes_back < n),
    CHECK (received_at <= decided_at)
);
CREATE INDEX auction_book_command ON auction_book (user_id, command_id);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON auction_book
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Checked once more here, whatever came before: nobody of the shop's bids, and nothing is written after the close.
CREATE FUNCTION refuse_bids() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added b JOIN auctions a ON a.id = b.auction_id
               JOIN memberships m ON m.shop_id = a.shop_id AND m.user_id = b.user_id) THEN
        RAISE EXCEPTION 'staff_may_not_bid' USING ERRCODE = 'check_violation';
    END IF;
    IF EXISTS (SELECT FROM added b JOIN auctions a ON a.id = b.auction_id
               WHERE a.state NOT IN ('announced', 'open', 'closing')
                  OR b.decided_at > a.ends_at + a.latency_window_ms * interval '1 millisecond') THEN
        RAISE EXCEPTION 'auction_closed' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER bids_in_time_and_not_by_staff AFTER INSERT ON auction_book
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refuse_bids();

-- To whom it was offered after the hammer, one after another: each offer is an order, or says why it could be none.
CREATE TABLE auction_offers (
    auction_id  uuid NOT NULL REFERENCES auctions,
    n           integer NOT NULL CHECK (n >= 1),
    user_id     uuid NOT NULL,
    price_minor bigint NOT NULL,
    on_session  boolean NOT NULL,
    order_id    uuid UNIQUE REFERENCES orders,
    failure     text,
    at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (auction_id, n),
    CHECK ((order_id IS NULL) = (failure IS NOT NULL))
);

ALTER TABLE orders ADD COLUMN auction_id uuid REFERENCES auctions;
CREATE INDEX orders_auction ON orders (auction_id) WHERE auction_id IS NOT NULL;
ALTER TABLE payment_attempts ADD COLUMN off_session boolean NOT NULL DEFAULT false;  -- frozen with the key

-- An auction takes its unit off sale; it goes to the winner's order, comes back from one that failed, or goes back on
-- sale.
ALTER TABLE stock_movements DROP CONSTRAINT stock_movements_kind_check;
ALTER TABLE stock_movements ADD CONSTRAINT stock_movements_kind_check
    CHECK (kind IN ('set', 'hold', 'sell', 'release', 'return', 'offer', 'offer_back',
                    'auction', 'auction_back', 'award', 'award_back'));
