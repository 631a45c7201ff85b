/* The native path of the fan-out: number, seal and send a burst of RTP packets to many viewers in one call.
 *
 * Why C: per packet and viewer the work is a 1.2 kB copy, AES-GCM and a trip through the kernel's UDP, about 2 µs
 * in all; Python would add 5 µs of its own, under the GIL. `_fanout_plain.py` does the same in Python and is the
 * specification: the tests hold both to the same bytes and the same counts.
 *
 * What is borrowed: libsrtp comes as two function addresses and a context address a lane, out of pylibsrtp (see
 * _srtp.py). Nothing is linked, so any wheel of pylibsrtp serves.
 *
 * Threads: Lane and Sender belong to the fan-out's sender thread. `send` releases the GIL unless it is brief; that
 * is safe because its argument tuple keeps lanes and packets alive and only the sender thread may change a lane.
 *
 * Speed: UDP_SEGMENT (GSO, Linux 4.18; linux/udp.h, Documentation/networking/segmentation-offloads.rst) lets the
 * kernel carry a viewer's packets of one burst as a single buffer: route, socket and netfilter work is done once.
 * It wants all segments equal but the last, which may be shorter: the caller evens the sizes out by RTP padding.
 */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <structmember.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum {
    WINDOW = 256,      /* as _srtp.WINDOW: older packets can't be repeated */
    MAX_PACKET = 1500, /* an Ethernet payload, before sealing */
    TRAILER = 144,     /* SRTP_MAX_TRAILER_LEN, and for SRTCP 4 more: both fit in a slot */
    SLOT = 1664,       /* room for one sealed packet */
    SLOTS = 96,        /* sealed before each sendmmsg: 160 kB at most, so that the kernel reads it out of L2 */
    ALIGNED = 4,       /* where libsrtp wants a packet to begin */
    CACHE_LINE = 64,
    BURST = 32,        /* packets a call; under UDP_MAX_SEGMENTS (64) and 64 kB a train */
    BRIEF = 64,        /* packets to send with the GIL held: some 150 µs */
    TRACKS = 4,
    VP8 = 8,           /* in a packet's kind, beside its track: renumber the payload descriptor */
    STREAMS = 8,
};

_Static_assert(MAX_PACKET + TRAILER + 4 <= SLOT, "a sealed packet fits its slot");
_Static_assert(BURST <= SLOTS, "a lane's burst fits the slots");
_Static_assert((MAX_PACKET + TRAILER) * BURST < 65507, "a train fits one UDP send");

typedef int (*protect_fn)(void *context, void *packet, int *length);

/* What became of packets × lanes; the order of _fanout_plain.Tally. */
enum { SENT, OCTETS, BLOCKED, UNREACHABLE, REUSED, STALE, UNNUMBERED, MALFORMED, COUNTS };

/* Per SSRC: a fingerprint of each plaintext sealed, so that no nonce ever seals two. 0 is a free place. */
typedef struct {
    uint32_t ssrc;
    int64_t top; /* newest index sealed: sequence number with its roll-overs */
    uint64_t fingerprint[WINDOW];
    uint16_t size[WINDOW];
} window_t;

typedef struct {
    uint32_t ssrc, timestamp_delta;
    uint16_t seq_delta, picture_id_delta;
    uint8_t payload_type, tl0_delta, set;
} numbers_t;

typedef struct {
    PyObject_HEAD
    PyObject *session; /* pylibsrtp's Session: owns the context */
    void *context;     /* NULL once closed */
    struct sockaddr_storage address;
    socklen_t address_length;
    numbers_t tracks[TRACKS];
    window_t *windows[STREAMS];
    uint64_t broken; /* the frame whose rest this lane won't get */
} Lane;

/* One packet of the burst, read once for all lanes. */
typedef struct {
    const uint8_t *data;
    uint64_t fingerprint;
    uint16_t length, size; /* size: after padding */
    uint16_t picture_id_at, tl0_at;
    uint8_t picture_id_wide, track;
} source_t;

typedef union {
    char room[CMSG_SPACE(sizeof(uint16_t))];
    struct cmsghdr align;
} control_t;

/* The packets of one message: `iov[first …]`, and all of them as one where they lie without a gap. */
typedef struct {
    Lane *owner;
    int first, count;
    struct iovec whole;
} train_t;

typedef struct {
    PyObject_HEAD
    protect_fn protect, protect_rtcp;
    int fd;
    char gso;
    uint8_t *room, *end; /* sealed packets lie behind one another up to `end` */
    struct iovec iov[SLOTS];
    struct mmsghdr messages[SLOTS];
    train_t of[SLOTS]; /* what each message carries */
    control_t control[SLOTS];
    int used, trains;   /* packets and messages that wait for the next flush */
    Lane **lanes;       /* scratch: the call's lanes */
    Py_ssize_t lanes_room;
} Sender;

/* One call's state. */
typedef struct {
    Sender *sender;
    uint64_t frame;
    int64_t deadline_ns; /* 0 until the socket was first full */
    int wait_ms;
    PyThreadState *without_gil; /* NULL: the call is brief and keeps the GIL */
    long long counts[COUNTS];
} call_t;

static PyTypeObject *lane_type; /* set once by the module's init, read-only after */

static uint16_t get16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }
static uint32_t get32(const uint8_t *at) { return (uint32_t)get16(at) << 16 | get16(at + 2); }
static void put16(uint8_t *at, uint16_t value) { at[0] = (uint8_t)(value >> 8), at[1] = (uint8_t)value; }
static void put32(uint8_t *at, uint32_t value) {
    put16(at, (uint16_t)(value >> 16));
    put16(at + 2, (uint16_t)value);
}

/* ---- reading a packet ---- */

/* Where the payload starts (RFC 3550 5.1), or -1. */
static int payload_offset(const uint8_t *data, int length) {
    if (length < 12 || data[0] >> 6 != 2) return -1;
    int offset = 12 + 4 * (data[0] & 0x0f);
    if (data[0] & 0x10) {
        if (length < offset + 4) return -1;
        offset += 4 + 4 * get16(data + offset + 2);
    }
    return offset <= length ? offset : -1;
}

/* RFC 7741 4.2: X, then I L T K, then a picture id of 7 or 15 bits, then TL0PICIDX. */
static int read_vp8(source_t *source, int at) {
    if (at == source->length || !(source->data[at] & 0x80)) return 0;
    uint8_t bits = at + 1 < source->length ? source->data[at + 1] : 0;
    at += 2;
    if (bits & 0x80) {
        source->picture_id_at = (uint16_t)at;
        source->picture_id_wide = at < source->length && source->data[at] & 0x80;
        at += source->picture_id_wide ? 2 : 1;
    }
    if (bits & 0x40) source->tl0_at = (uint16_t)at++;
    return at <= source->length ? 0 : -1;
}

static int read_source(source_t *source, const char *data, Py_ssize_t length, long size, uint8_t kind) {
    if (length < 12 || length > MAX_PACKET || size > MAX_PACKET) return -1;
    *source = (source_t){.data = (const uint8_t *)data, .length = (uint16_t)length, .track = kind & ~VP8};
    source->size = (uint16_t)(size > length ? size : length);
    int at = payload_offset(source->data, source->length);
    int padding = source->data[0] & 0x20 ? source->data[length - 1] : 0;
    if (at < 0 || source->size - length > 255 - padding) return -1;
    return kind & VP8 ? read_vp8(source, at) : 0;
}

/* ---- sealing ---- */

static window_t *window_of(Lane *lane, uint32_t ssrc) {
    for (int i = 0; i < STREAMS; i++) {
        if (lane->windows[i] == NULL) {
            window_t *window = calloc(1, sizeof *window);
            if (window != NULL) window->ssrc = ssrc, window->top = -1;
            return lane->windows[i] = window;
        }
        if (lane->windows[i]->ssrc == ssrc) return lane->windows[i];
    }
    return NULL;
}

/* Everything that makes the plaintext, but SSRC and sequence: those choose the place it is kept in. */
static uint64_t fingerprint_of(const source_t *source, const numbers_t *use) {
    uint64_t delta = (uint64_t)use->timestamp_delta << 32 | (uint64_t)use->picture_id_delta << 16 |
                     (uint64_t)use->payload_type << 8 | use->tl0_delta;
    uint64_t mixed = (source->fingerprint ^ (source->fingerprint >> 29)) * 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ delta) * 0xff51afd7ed558ccdu; /* murmur3's finaliser */
    mixed ^= mixed >> 33;
    return mixed ? mixed : 1;
}

/* The size to seal under `seq`, or minus the cause it is refused for. A repeat takes the size of the first time. */
static int admit(window_t *window, uint16_t seq, uint64_t fingerprint, uint16_t size) {
    int64_t index = seq;
    if (window->top < 0) {
        window->top = index;
    } else {
        int ahead = ((seq - (int)(window->top & 0xffff) + 0x8000) & 0xffff) - 0x8000;
        index = window->top + ahead;
        /* Below zero is before the first roll-over: libsrtp would take it for the far future. */
        if (ahead <= -WINDOW || index < 0) return -STALE;
        for (int64_t skipped = window->top + 1 > index - WINDOW + 1 ? window->top + 1 : index - WINDOW + 1;
             skipped <= index; skipped++)
            window->fingerprint[skipped % WINDOW] = 0;
        if (index > window->top) window->top = index;
    }
    int place = (int)(index % WINDOW);
    if (window->fingerprint[place] == 0) {
        window->fingerprint[place] = fingerprint;
        window->size[place] = size;
    }
    return window->fingerprint[place] == fingerprint ? window->size[place] : -REUSED;
}

static void renumber(uint8_t *out, const source_t *source, const numbers_t *use, int size) {
    memcpy(out, source->data, source->length);
    out[1] = (out[1] & 0x80) | use->payload_type;
    put16(out + 2, (uint16_t)(get16(out + 2) + use->seq_delta));
    put32(out + 4, get32(out + 4) + use->timestamp_delta);
    put32(out + 8, use->ssrc);
    uint8_t *picture_id = out + source->picture_id_at;
    if (source->picture_id_wide)
        put16(picture_id, 0x8000 | (uint16_t)(get16(picture_id) + use->picture_id_delta));
    else if (source->picture_id_at)
        *picture_id = (*picture_id + use->picture_id_delta) & 0x7f;
    if (source->tl0_at) out[source->tl0_at] += use->tl0_delta;
    if (size > source->length) { /* RTP padding; one that is there already grows */
        int padding = size - source->length + (out[0] & 0x20 ? out[source->length - 1] : 0);
        memset(out + source->length, 0, (size_t)(size - source->length));
        out[size - 1] = (uint8_t)padding;
        out[0] |= 0x20;
    }
}

/* One sealed packet into `out`: its length, or minus the cause of a drop. */
static int seal(Sender *sender, Lane *lane, const source_t *source, const numbers_t *use, uint8_t *out) {
    window_t *window = window_of(lane, use->ssrc);
    if (window == NULL) return -MALFORMED;
    uint16_t seq = (uint16_t)(get16(source->data + 2) + use->seq_delta);
    int length = admit(window, seq, fingerprint_of(source, use), source->size);
    if (length < 0) return length;
    renumber(out, source, use, length);
    return sender->protect(lane->context, out, &length) == 0 ? length : -MALFORMED;
}

/* ---- sending ---- */

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The socket is full: waits for room, within what the call may wait in all. */
static int wait_for_room(call_t *call) {
    int64_t now = now_ns();
    if (call->deadline_ns == 0) call->deadline_ns = now + (int64_t)call->wait_ms * 1000000;
    int left_ms = (int)((call->deadline_ns - now + 999999) / 1000000);
    if (left_ms <= 0) return 0;
    struct pollfd room = {.fd = call->sender->fd, .events = POLLOUT};
    PyThreadState *meanwhile = call->without_gil == NULL ? PyEval_SaveThread() : NULL;
    int ready = poll(&room, 1, left_ms) != 0; /* a signal: the send is tried again, the deadline stays */
    if (meanwhile != NULL) PyEval_RestoreThread(meanwhile);
    return ready;
}

static int is_full(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == ENOBUFS; }

/* One datagram by itself. */
static int send_plainly(call_t *call, Lane *lane, const struct iovec *packet) {
    for (;;) {
        ssize_t sent = sendto(call->sender->fd, packet->iov_base, packet->iov_len, MSG_DONTWAIT | MSG_NOSIGNAL,
                              (struct sockaddr *)&lane->address, lane->address_length);
        if (sent >= 0) return SENT;
        if (errno == EINTR || (is_full(errno) && wait_for_room(call))) continue;
        return is_full(errno) ? BLOCKED : UNREACHABLE;
    }
}

/* A train that the kernel refused. The path may have no GSO (EIO, EINVAL: no checksum offload) or a smaller MTU
 * (EMSGSIZE), which its packets survive one by one; the former turns GSO off for good once that has worked. */
static void send_apart(call_t *call, int message, int error) {
    const train_t *train = &call->sender->of[message];
    int outcome = SENT;
    for (int i = train->first; i < train->first + train->count; i++) {
        const struct iovec *packet = &call->sender->iov[i];
        if (outcome != BLOCKED) outcome = send_plainly(call, train->owner, packet);
        call->counts[outcome]++;
        if (outcome == SENT) call->counts[OCTETS] += (long long)packet->iov_len;
    }
    if (outcome == BLOCKED) train->owner->broken = call->frame;
    if (outcome == SENT && train->count > 1 && (error == EIO || error == EINVAL)) call->sender->gso = 0;
}

static void count_sent(call_t *call, int message) {
    call->counts[SENT] += call->sender->of[message].count;
    call->counts[OCTETS] += call->sender->messages[message].msg_len;
}

/* Backpressure outlasted the wait: these lanes lose this frame to its end, and the counts say so. */
static void drop_from(call_t *call, int message) {
    for (; message < call->sender->trains; message++) {
        call->sender->of[message].owner->broken = call->frame;
        call->counts[BLOCKED] += call->sender->of[message].count;
    }
}

static void flush(call_t *call) {
    Sender *sender = call->sender;
    int next = 0;
    while (next < sender->trains) {
        int sent = sendmmsg(sender->fd, sender->messages + next, (unsigned)(sender->trains - next),
                            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent > 0) {
            for (int end = next + sent; next < end; next++) count_sent(call, next);
        } else if (is_full(errno)) {
            if (wait_for_room(call)) continue;
            drop_from(call, next);
            break;
        } else if (errno != EINTR) {
            send_apart(call, next++, errno);
        }
    }
    sender->used = sender->trains = 0;
    sender->end = sender->room;
}

/* `count` sealed packets from `first` on become one message: a train, or a packet by itself. */
static void couple(Sender *sender, Lane *lane, int first, int count) {
    int i = sender->trains++;
    struct msghdr *message = &sender->messages[i].msg_hdr;
    train_t *train = &sender->of[i];
    const struct iovec *last = &sender->iov[first + count - 1];
    uint8_t *begin = sender->iov[first].iov_base, *end = (uint8_t *)last->iov_base + last->iov_len;
    size_t bytes = sender->iov[first].iov_len * (size_t)(count - 1) + last->iov_len;
    *train = (train_t){lane, first, count, {begin, bytes}};
    int has_gaps = (size_t)(end - begin) != bytes;
    *message = (struct msghdr){
        .msg_name = &lane->address,
        .msg_namelen = lane->address_length,
        .msg_iov = has_gaps ? &sender->iov[first] : &train->whole,
        .msg_iovlen = has_gaps ? (size_t)count : 1,
    };
    if (count == 1) return;
    message->msg_control = &sender->control[i];
    message->msg_controllen = sizeof sender->control[i].room;
    struct cmsghdr *control = CMSG_FIRSTHDR(message);
    control->cmsg_level = IPPROTO_UDP;
    control->cmsg_type = UDP_SEGMENT;
    control->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    uint16_t segment = (uint16_t)sender->iov[first].iov_len;
    memcpy(CMSG_DATA(control), &segment, sizeof segment);
}

/* Packets [first, used) as trains: equal sizes, of which a shorter one ends a train. */
static void couple_all(Sender *sender, Lane *lane, int first) {
    while (first < sender->used) {
        size_t segment = sender->iov[first].iov_len;
        int end = first + 1;
        if (sender->gso) {
            while (end < sender->used && sender->iov[end].iov_len == segment) end++;
            if (end < sender->used && sender->iov[end].iov_len < segment) end++;
        }
        couple(sender, lane, first, end - first);
        first = end;
    }
}

static void send_to(call_t *call, Lane *lane, const source_t *sources, int count, const numbers_t *own) {
    Sender *sender = call->sender;
    if (lane->context == NULL) return;
    if (lane->broken == call->frame) {
        call->counts[BLOCKED] += count;
        return;
    }
    if (sender->used + count > SLOTS) flush(call);
    int first = sender->used;
    for (int i = 0; i < count; i++) {
        const numbers_t *use = own->set ? own : &lane->tracks[sources[i].track];
        int length = use->set ? seal(sender, lane, &sources[i], use, sender->end) : -UNNUMBERED;
        if (length < 0) {
            call->counts[-length]++;
            continue;
        }
        sender->iov[sender->used++] = (struct iovec){sender->end, (size_t)length};
        sender->end += (length + ALIGNED - 1) / ALIGNED * ALIGNED;
    }
    couple_all(sender, lane, first);
}

/* What serving a lane will touch is fetched while those before it are served: a thousand lanes don't fit in the
 * cache, and waiting for them costs more than anything else we do. First the lane, then what it points to. */
static void fetch(const Lane *lane) {
    for (size_t line = 0; line < sizeof *lane; line += CACHE_LINE) __builtin_prefetch((const char *)lane + line);
}

static void fetch_windows(const Lane *lane, const source_t *sources, int count) {
    __builtin_prefetch(lane->context);
    const numbers_t *use = &lane->tracks[sources->track];
    for (int i = 0; i < STREAMS && lane->windows[i] != NULL; i++) {
        const window_t *window = lane->windows[i];
        if (window->ssrc != use->ssrc) continue;
        int place = (uint16_t)(get16(sources->data + 2) + use->seq_delta) % WINDOW;
        int last = (place + count - 1) % WINDOW;
        __builtin_prefetch(window);
        __builtin_prefetch(&window->fingerprint[place], 1);
        __builtin_prefetch(&window->fingerprint[last], 1);
        __builtin_prefetch(&window->size[place], 1);
    }
}

static void send_to_all(call_t *call, Py_ssize_t audience, const source_t *sources, int count,
                        const numbers_t *own) {
    Lane **lanes = call->sender->lanes;
    if (count == 0) return;
    /* Another viewer comes first each frame, so that nobody is always the last or the one to lose. */
    Py_ssize_t first = audience ? (Py_ssize_t)(call->frame % (uint64_t)audience) : 0;
    for (Py_ssize_t i = 0; i < audience; i++) {
        fetch(lanes[(first + i + 2) % audience]);
        fetch_windows(lanes[(first + i + 1) % audience], sources, count);
        send_to(call, lanes[(first + i) % audience], sources, count, own);
    }
    flush(call);
}

/* ---- Lane ---- */

static int read_address(Lane *lane, PyObject *address) {
    int family, port;
    unsigned int flow, scope;
    const char *ip;
    Py_ssize_t length;
    if (!PyArg_ParseTuple(address, "iy#iII", &family, &ip, &length, &port, &flow, &scope)) return -1;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
                              .sin6_port = htons((uint16_t)port),
                              .sin6_flowinfo = htonl(flow),
                              .sin6_scope_id = scope};
    if (family == AF_INET && length == 4) {
        memcpy(&v4.sin_addr, ip, 4);
        memcpy(&lane->address, &v4, lane->address_length = sizeof v4);
    } else if (family == AF_INET6 && length == 16) {
        memcpy(&v6.sin6_addr, ip, 16);
        memcpy(&lane->address, &v6, lane->address_length = sizeof v6);
    } else {
        PyErr_SetString(PyExc_ValueError, "address_family: neither IPv4 nor IPv6");
        return -1;
    }
    return 0;
}

static int lane_init(Lane *lane, PyObject *args, PyObject *Py_UNUSED(kwargs)) {
    PyObject *session, *address;
    unsigned long long context;
    if (!PyArg_ParseTuple(args, "OKO!", &session, &context, &PyTuple_Type, &address)) return -1;
    if (lane->session != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "lane_opened_twice");
        return -1;
    }
    if (read_address(lane, address) < 0) return -1;
    Py_INCREF(session);
    lane->session = session;
    lane->context = (void *)(uintptr_t)context;
    return 0;
}

static PyObject *lane_close(Lane *lane, PyObject *Py_UNUSED(none)) {
    lane->context = NULL;
    Py_CLEAR(lane->session); /* frees the context, here and now */
    for (int i = 0; i < STREAMS; i++) {
        free(lane->windows[i]);
        lane->windows[i] = NULL;
    }
    Py_RETURN_NONE;
}

static void lane_dealloc(Lane *lane) {
    PyTypeObject *type = Py_TYPE((PyObject *)lane);
    Py_DECREF(lane_close(lane, NULL));
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(lane);
    Py_DECREF(type);
}

static PyObject *lane_move(Lane *lane, PyObject *address) {
    if (!PyTuple_Check(address)) return PyErr_Format(PyExc_TypeError, "an address is a tuple");
    if (read_address(lane, address) < 0) return NULL;
    Py_RETURN_NONE;
}

static int read_numbers(PyObject *tuple, numbers_t *out) {
    unsigned int ssrc, timestamp_delta;
    unsigned int payload_type, seq_delta, picture_id_delta, tl0_delta;
    if (!PyArg_ParseTuple(tuple, "IIIIII", &ssrc, &payload_type, &seq_delta, &timestamp_delta, &picture_id_delta,
                          &tl0_delta))
        return -1;
    *out = (numbers_t){
        .ssrc = ssrc,
        .timestamp_delta = timestamp_delta,
        .seq_delta = (uint16_t)seq_delta,
        .picture_id_delta = (uint16_t)picture_id_delta,
        .payload_type = payload_type & 0x7f,
        .tl0_delta = (uint8_t)tl0_delta,
        .set = 1,
    };
    return 0;
}

static PyObject *lane_number(Lane *lane, PyObject *args) {
    int track;
    PyObject *tuple;
    if (!PyArg_ParseTuple(args, "iO!", &track, &PyTuple_Type, &tuple)) return NULL;
    if (track < 0 || track >= TRACKS) return PyErr_Format(PyExc_ValueError, "track_unknown: %d", track);
    if (read_numbers(tuple, &lane->tracks[track]) < 0) return NULL;
    Py_RETURN_NONE;
}

/* ---- Sender ---- */

static int sender_init(Sender *sender, PyObject *args, PyObject *Py_UNUSED(kwargs)) {
    unsigned long long protect, protect_rtcp;
    if (!PyArg_ParseTuple(args, "iKK", &sender->fd, &protect, &protect_rtcp)) return -1;
    sender->protect = (protect_fn)(uintptr_t)protect;
    sender->protect_rtcp = (protect_fn)(uintptr_t)protect_rtcp;
    int segment = 0;
    socklen_t length = sizeof segment;
    sender->gso = getsockopt(sender->fd, IPPROTO_UDP, UDP_SEGMENT, &segment, &length) == 0;
    if (sender->room == NULL) sender->room = sender->end = aligned_alloc(64, (size_t)SLOT * SLOTS);
    if (sender->room == NULL) return PyErr_NoMemory(), -1;
    return 0;
}

static void sender_dealloc(Sender *sender) {
    PyTypeObject *type = Py_TYPE((PyObject *)sender);
    free(sender->room);
    free(sender->lanes);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(sender);
    Py_DECREF(type);
}

static PyObject *tally(const call_t *call) {
    const long long *n = call->counts;
    return Py_BuildValue("(LLLLLLLL)", n[SENT], n[OCTETS], n[BLOCKED], n[UNREACHABLE], n[REUSED], n[STALE],
                         n[UNNUMBERED], n[MALFORMED]);
}

static int read_lanes(Sender *sender, PyObject *tuple, Py_ssize_t count) {
    if (count > sender->lanes_room) {
        Lane **more = realloc(sender->lanes, (size_t)count * sizeof *more);
        if (more == NULL) return PyErr_NoMemory(), -1;
        sender->lanes = more;
        sender->lanes_room = count;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *lane = PyTuple_GetItem(tuple, i);
        if (!PyObject_TypeCheck(lane, lane_type)) return PyErr_SetString(PyExc_TypeError, "not a Lane"), -1;
        sender->lanes[i] = (Lane *)lane;
    }
    return 0;
}

/* The burst's packets into `sources`: how many are good, or -1 with an exception. */
static int read_sources(source_t *sources, PyObject *packets, PyObject *sizes, const uint8_t *kinds,
                        Py_ssize_t kind_count) {
    Py_ssize_t count = PyTuple_Size(packets);
    int good = 0;
    if (count > BURST || PyList_Size(sizes) != count || kind_count != count)
        return PyErr_SetString(PyExc_ValueError, "burst: too many packets, or not a size and kind for each"), -1;
    for (Py_ssize_t i = 0; i < count; i++)
        if ((kinds[i] & ~VP8) >= TRACKS) return PyErr_SetString(PyExc_ValueError, "track_unknown"), -1;
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *packet = PyTuple_GetItem(packets, i);
        char *data;
        Py_ssize_t length;
        long size = PyLong_AsLong(PyList_GetItem(sizes, i));
        if ((size == -1 && PyErr_Occurred()) || PyBytes_AsStringAndSize(packet, &data, &length) < 0) return -1;
        if (read_source(&sources[good], data, length, size, kinds[i]) < 0) continue;
        /* SipHash under a key of this process, kept in the bytes object: a publisher can't aim at a collision. */
        sources[good++].fingerprint = (uint64_t)PyObject_Hash(packet) ^ (kinds[i] & VP8);
    }
    return good;
}

static PyObject *sender_send(Sender *sender, PyObject *args) {
    PyObject *lanes, *packets, *sizes, *own;
    const char *kinds;
    Py_ssize_t kind_count;
    unsigned long long frame;
    call_t call = {.sender = sender};
    if (!PyArg_ParseTuple(args, "O!O!O!y#KOi", &PyTuple_Type, &lanes, &PyTuple_Type, &packets, &PyList_Type,
                          &sizes, &kinds, &kind_count, &frame, &own, &call.wait_ms))
        return NULL;
    source_t sources[BURST];
    numbers_t numbers = {.set = 0};
    Py_ssize_t audience = PyTuple_Size(lanes);
    int good = read_sources(sources, packets, sizes, (const uint8_t *)kinds, kind_count);
    if (good < 0 || read_lanes(sender, lanes, audience) < 0) return NULL;
    if (own != Py_None && read_numbers(own, &numbers) < 0) return NULL;
    call.frame = frame;
    call.counts[MALFORMED] = (long long)(PyTuple_Size(packets) - good) * audience;

    /* Getting the GIL back takes up to a switch interval (5 ms) when the loop is busy: a few packets are faster
     * sent than that, and a joining viewer's replay is thousands of such calls. */
    if (good * audience > BRIEF) call.without_gil = PyEval_SaveThread();
    send_to_all(&call, audience, sources, good, &numbers);
    if (call.without_gil != NULL) PyEval_RestoreThread(call.without_gil);
    return tally(&call);
}

static PyObject *sender_send_rtcp(Sender *sender, PyObject *args) {
    Lane *lane;
    const char *packet;
    Py_ssize_t length;
    call_t call = {.sender = sender};
    if (!PyArg_ParseTuple(args, "O!y#", lane_type, &lane, &packet, &length)) return NULL;
    if (lane->context == NULL) return tally(&call);
    struct iovec out = {.iov_base = sender->room};
    int sealed = (int)length;
    int fits = length >= 8 && length <= MAX_PACKET; /* a header with its SSRC, RFC 3550 6.4 */
    if (fits) memcpy(out.iov_base, packet, (size_t)length);
    if (!fits || sender->protect_rtcp(lane->context, out.iov_base, &sealed) != 0) {
        call.counts[MALFORMED]++;
        return tally(&call);
    }
    out.iov_len = (size_t)sealed;
    int outcome = send_plainly(&call, lane, &out); /* wait_ms is 0: one try */
    call.counts[outcome]++;
    return tally(&call);
}

/* ---- module ---- */

static PyMethodDef lane_methods[] = {
    {"move", (PyCFunction)lane_move, METH_O, NULL},
    {"number", (PyCFunction)lane_number, METH_VARARGS, NULL},
    {"close", (PyCFunction)lane_close, METH_NOARGS, NULL},
    {0},
};
static PyType_Slot lane_slots[] = {
    {Py_tp_doc, "Lane(session, context, (family, ip, port, flow, scope)): one viewer's way out."},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_init, lane_init},
    {Py_tp_dealloc, lane_dealloc},
    {Py_tp_methods, lane_methods},
    {0, NULL},
};
static PyType_Spec lane_spec = {"stream.wire._fanout.Lane", sizeof(Lane), 0, Py_TPFLAGS_DEFAULT, lane_slots};

static PyMethodDef sender_methods[] = {
    {"send", (PyCFunction)sender_send, METH_VARARGS, NULL},
    {"send_rtcp", (PyCFunction)sender_send_rtcp, METH_VARARGS, NULL},
    {0},
};
static PyMemberDef sender_members[] = {
    {"gso", T_BOOL, offsetof(Sender, gso), 0, "UDP GSO is in use; set false to do without"},
    {0},
};
static PyType_Slot sender_slots[] = {
    {Py_tp_doc, "Sender(fd, srtp_protect, srtp_protect_rtcp): seals and sends on a socket."},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_init, sender_init},
    {Py_tp_dealloc, sender_dealloc},
    {Py_tp_methods, sender_methods},
    {Py_tp_members, sender_members},
    {0, NULL},
};
static PyType_Spec sender_spec = {"stream.wire._fanout.Sender", sizeof(Sender), 0, Py_TPFLAGS_DEFAULT, sender_slots};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, .m_name = "_fanout", .m_doc = "Native path of the fan-out.", .m_size = -1};

PyMODINIT_FUNC PyInit__fanout(void) {
    PyObject *made = PyModule_Create(&module);
    PyObject *lane = PyType_FromSpec(&lane_spec), *sender = PyType_FromSpec(&sender_spec);
    if (made == NULL || lane == NULL || sender == NULL || PyModule_AddObjectRef(made, "Lane", lane) < 0 ||
        PyModule_AddObjectRef(made, "Sender", sender) < 0 || PyModule_AddIntConstant(made, "WINDOW", WINDOW) < 0)
        return NULL;
    lane_type = (PyTypeObject *)lane;
    Py_DECREF(sender);
    return made;
}
