/*
 * The hot-swap protocol of @k42/hotswap, for SPIN.
 *
 * P processors, each a process that takes turns, as an event loop does; S swaps of O objects. A processor's clients make
 * calls (synchronous, asynchronous, waiting; with calls nested in them, to any object), its steps do what is due in a swap,
 * at a stop point it holds still. Everything the processors share is a global variable; what one processor alone knows
 * (its slots, its stop point) is local to its process.
 *
 * Step names stand in comments in capitals, and at the pieces of code that implement them; README.md lists them.
 *
 * What is atomic, and why. An `atomic` holds one access to shared memory (a load, a store, a compare-and-swap), with
 * what the processor then does to its own state: nobody can tell whether that happened at once. A compare-and-swap that is retried
 * until it succeeds or its condition is gone is one step, because the conditions beside the word (elapsed, done, claimed)
 * never become false again. The announcement that follows a transition is in the same step where no processor can die,
 * for messages arrive late anyway; where one can, it is a step of its own.
 *
 * The switches below choose a configuration; a BROKEN_... switch breaks one rule, and must make it fail.
 */

#ifndef P
#define P 2 /* processors, at most 3 */
#endif
#ifndef O
#define O 1 /* objects, at most 2 */
#endif
#ifndef S
#define S O /* swaps, at most 2: one of each object, or with O = 1 two of one object, one after the other */
#endif
#ifndef CALLS
#define CALLS 1 /* calls a processor's clients make */
#endif
#ifndef COLD
#define COLD 0 /* set of those that have never called through it */
#endif
#ifndef CALLERS
#define CALLERS 7 /* set of processors that have clients */
#endif
#ifndef TOUCHED
#define TOUCHED 7 /* set of processors that have a slot of every object from the beginning */
#endif
#ifndef SYNCHRONOUS
#define SYNCHRONOUS 3 /* set of objects with synchronous methods */
#endif
#ifndef KINDS
#define KINDS 3 /* set of kinds of calls: 1 synchronous, 2 asynchronous, 4 waiting (asynchronous, counted on the slot) */
#endif
#ifndef NEST
#define NEST 0 /* set of kinds of calls nested in calls: 1 synchronous, 2 asynchronous and awaited */
#endif
#ifndef SHARECALL
#define SHARECALL 0 /* 1: every share calls the other object */
#endif
#ifndef PARTS
#define PARTS 1 /* parts that any participant may claim: the root part and machine-memory shares */
#endif
#ifndef BARRIER
#define BARRIER 0 /* 1: imports only after all exports */
#endif
#ifndef ABORTS
#define ABORTS 0 /* set of swaps that somebody tries to abort, at any point */
#endif
#ifndef DEATHS
#define DEATHS 0 /* processors that die, each at any point; never processor 0, the host */
#endif
#ifndef VICTIMS
#define VICTIMS 6 /* set of processors that may die */
#endif
#ifndef INITIATOR0
#define INITIATOR0 0
#endif
#ifndef INITIATOR1
#define INITIATOR1 1
#endif
#ifndef RELEASE
#define RELEASE 0 /* 1: the block and the loser are reclaimed at the end */
#endif

/* Phases of the swap word, in order; it never goes back. */
#define FORWARD 1
#define BLOCK 2
#define TRANSFER 3
#define COMPLETE 4
#define ABORTED 5

/* Stages of a share. */
#define BEGUN 1
#define EXPORTED 2
#define DONE 4 /* imported as well: nothing happens between */

/* Root words, and what a slot holds: 0 the default object, 1.. Roots (or their Reps), MEDIATOR + s that of swap s. */
#define MEDIATOR 16
#define FIRST(o) (1 + (o))
#define NEW(s) (1 + O + (s))
#define ROOTS (1 + O + S)
#if O == 1
#define OBJECT(s) 0
#else
#define OBJECT(s) (s)
#endif
#define INITIATOR(s) (INITIATOR0 + (s) * (INITIATOR1 - INITIATOR0))
#define ISSYNC(o) ((SYNCHRONOUS >> (o)) & 1)

/* Calls of a processor: its clients', those nested in them, its shares'. */
#define NESTED (CALLS)
#if NEST
#define SHARED (2 * CALLS)
#else
#define SHARED (CALLS)
#endif
#if SHARECALL
#define PER (SHARED + S)
#else
#define PER SHARED
#endif
#define ALL (P * PER)

/* States of a call. */
#define CALLING 1
#define QUEUED 2
#define RUNNING 3
#define ENDED 4
/* Kinds of calls. */
#define SYNC 0
#define ASYNC 1
#define WAITS 2

#define BIT(n) (1 << (n))
#define HAS(set, n) (((set) >> (n)) & 1)
#define LIVEONES (BIT(P) - 1)

/* Properties: always true, so they add no states. Their names are what a failing run reports. */
bool no_call_on_old_in_transfer = true;
bool no_call_on_new_before_commit = true;
bool no_call_on_reclaimed_root = true;
bool each_call_once = true;
bool calls_in_order = true;
bool commit_and_abort_exclude = true;
bool swing_only_from_own_mediator = true;
bool no_commit_with_open_share = true;
bool block_not_used_after_release = true;
bool every_swap_is_decided = true;
bool every_queue_is_drained = true;
bool every_call_has_ended = true;
bool every_processor_has_finished = true;
bool entry_names_the_winner = true;
bool swap_completes_if_nothing_fails = true;
bool everything_is_released = true;
#define MUST(property, condition) property = (condition); assert(property)

/* The swap blocks. Phase and set are one word. */
byte phase[S];
byte set[S];
byte joined[S];
byte elapsed[S];
byte interested[S];
byte oldRoot[S];
byte stage[S * P];
byte claim[S * PARTS];
byte partsDone[S];
#define STAGE(s, p) stage[(s) * P + (p)]

/* The tables. */
byte gtt[O];
byte touched[O];
byte readers[O];

/* Messages on their way. Steps are idempotent, so two that wait count as one. */
byte stepDue[S];

/* What a processor knows, where somebody else must see it too. */
byte known[S];    /* processors with a view of the Mediator */
byte finished[S]; /* processors that have done all they have to do, and said so */
byte tracked[S * P];
byte before[S * P]; /* calls in flight when the slot was reset */
#define TRACKED(s, p) tracked[(s) * P + (p)]
#define BEFORE(s, p) before[(s) * P + (p)]

/* Calls, by processor. */
byte state[ALL];
byte kind[ALL];
byte target[ALL];
byte runsOn[ALL];
byte trackedBy[ALL]; /* 1 + swap */
bit marked[ALL];
byte nests[ALL]; /* 0 nothing (any more), or 1 + object * 2 + kind */
byte running[ROOTS + 1];

/* Deaths. */
byte dead;
byte deathsLeft = DEATHS;

/* What has been decided, told apart from the word. */
byte committed;
byte aborted;

#if RELEASE
byte releaseAsked;
byte releaseDue[S];
byte concerned[S];
byte released[S];
byte after_[S * P]; /* threads in flight when the release was asked for */
byte letGo[S];
byte freed;
#define AFTER(s, p) after_[(s) * P + (p)]
#define USE(s) MUST(block_not_used_after_release, !HAS(freed, s))
#else
#define USE(s) skip
#endif

hidden byte i_, j_, m_;

/* The table's Root of a decided swap. */
#define FINAL(s) ((phase[s] == COMPLETE) * NEW(s) + (phase[s] != COMPLETE) * oldRoot[s])

/* Nothing runs on the old object when TRANSFER opens. */
#define OPEN_TRANSFER(s) phase[s] = TRANSFER; MUST(no_call_on_old_in_transfer, running[oldRoot[s]] == 0)

#if S == 1
#define WRONGLY_OLD(r) (oldRoot[0] == (r) && (phase[0] == TRANSFER || phase[0] == COMPLETE))
#define WRONGLY_NEW(r) (NEW(0) == (r) && phase[0] != COMPLETE)
#else
#define WRONGLY_OLD(r) ((oldRoot[0] == (r) && (phase[0] == TRANSFER || phase[0] == COMPLETE)) \
  || (oldRoot[1] == (r) && (phase[1] == TRANSFER || phase[1] == COMPLETE)))
#define WRONGLY_NEW(r) ((NEW(0) == (r) && phase[0] != COMPLETE) || (NEW(1) == (r) && phase[1] != COMPLETE))
#endif
#define ALL_ELAPSED(s) ((joined[s] & ~elapsed[s]) == 0)
#define NOT_DONE(s, p) (HAS(joined[s], p) && STAGE(s, p) != DONE)
#define NOT_EXPORTED(s, p) (HAS(joined[s], p) && STAGE(s, p) < EXPORTED)
#if P == 1
#define ALL_DONE(s) (!NOT_DONE(s, 0))
#define ALL_EXPORTED(s) (!NOT_EXPORTED(s, 0))
#elif P == 2
#define ALL_DONE(s) (!NOT_DONE(s, 0) && !NOT_DONE(s, 1))
#define ALL_EXPORTED(s) (!NOT_EXPORTED(s, 0) && !NOT_EXPORTED(s, 1))
#else
#define ALL_DONE(s) (!NOT_DONE(s, 0) && !NOT_DONE(s, 1) && !NOT_DONE(s, 2))
#define ALL_EXPORTED(s) (!NOT_EXPORTED(s, 0) && !NOT_EXPORTED(s, 1) && !NOT_EXPORTED(s, 2))
#endif

/* Is there a share of this processor in the midst of moving? */
#define MOVING(s, p) (STAGE(s, p) != 0 && STAGE(s, p) != DONE)

/* The processor's own bit, and its calls. */
#define ME BIT(me)
#define C(n) (me * PER + (n))
#define SETTLED(n) (state[C(n)] == ENDED)

#if RELEASE
/* The Root that a released swap has reclaimed. */
#define RECLAIMED(s) (HAS(freed, s) * ((phase[s] != COMPLETE) * NEW(s) + (phase[s] == COMPLETE) * oldRoot[s]))
#endif

/* A call begins on a Root: the only place where one does. `by`: 0, or 1 + the swap that tracks it. */
inline RUN(root, by) {
  MUST(each_call_once, state[C(cur)] == CALLING || state[C(cur)] == QUEUED);
  MUST(no_call_on_old_in_transfer, !WRONGLY_OLD(root));
  MUST(no_call_on_new_before_commit, !WRONGLY_NEW(root));
#if RELEASE
  MUST(no_call_on_reclaimed_root, (root) != RECLAIMED(0) && (S == 1 || (root) != RECLAIMED(S - 1)));
#endif
#if CALLS > 1
  /* Order among the asynchronous calls of a caller. */
  if
  :: cur < CALLS && cur > 0 && kind[C(cur)] == ASYNC && kind[C(cur - 1)] == ASYNC && target[C(cur)] == target[C(cur - 1)] ->
    MUST(calls_in_order, state[C(cur - 1)] >= RUNNING)
  :: else
  fi;
#endif
  state[C(cur)] = RUNNING;
  runsOn[C(cur)] = root;
  running[root]++;
  trackedBy[C(cur)] = by;
  if
  :: (by) != 0 ->
    marked[C(cur)] = 1;
#ifndef BROKEN_COUNT
    TRACKED((by) - 1, me)++
#endif
  :: else
  fi
}

/* A call is over. The last tracked one has its mediator step. */
inline END(n) {
  running[runsOn[C(n)]]--;
  if
  :: trackedBy[C(n)] != 0 ->
    j_ = trackedBy[C(n)] - 1;
#ifndef BROKEN_COUNT
    TRACKED(j_, me)--;
#endif
    if
#ifdef BROKEN_LATE_LOOK
    /* Looks at the phase even if the swap is long over here. */
    :: TRACKED(j_, me) == 0 ->
#else
    :: TRACKED(j_, me) == 0 && !HAS(finished[j_], me) ->
#endif
      USE(j_);
      if
      :: phase[j_] == BLOCK -> stepDue[j_] = stepDue[j_] | ME
      :: else
      fi
    :: else
    fi
  :: else
  fi;
  FORGET_CALL(me, n)
}

inline FORGET_CALL(p, n) {
  state[p * PER + (n)] = ENDED;
  runsOn[p * PER + (n)] = 0;
  trackedBy[p * PER + (n)] = 0;
  marked[p * PER + (n)] = 0;
  nests[p * PER + (n)] = 0;
#if CALLS == 1
  target[p * PER + (n)] = 0;
  kind[p * PER + (n)] = 0;
#endif
  BEFORE(0, p) = BEFORE(0, p) & ~BIT(n);
  BEFORE(S - 1, p) = BEFORE(S - 1, p) & ~BIT(n);
#if RELEASE
  AFTER(0, p) = AFTER(0, p) & ~BIT(n);
  AFTER(S - 1, p) = AFTER(S - 1, p) & ~BIT(n);
#endif
  skip
}

/* Calls in flight on this processor: threads, and with `waiting` the waiting ones of that object. */
inline IN_FLIGHT(mask, waiting, object) {
  i_ = 0; m_ = 0;
  do
  :: i_ < PER ->
    if
    :: (state[C(i_)] == QUEUED || state[C(i_)] == RUNNING) && (kind[C(i_)] != WAITS || (waiting && target[C(i_)] == object)) ->
      m_ = m_ | BIT(i_)
    :: else
    fi;
    i_++
  :: else -> break
  od;
  mask = m_;
  i_ = 0; m_ = 0
}

/* Tells everybody concerned that there may be something to do. */
#if DEATHS
#define TELL(s) stepDue[s] = stepDue[s] | (interested[s] & ~ME & ~finished[s] & ~dead)
#else
#define TELL(s) stepDue[s] = stepDue[s] | (interested[s] & ~ME & ~finished[s])
#endif
/* A step of this processor in a later turn; from its stop point, when it runs on. */
inline STEP_LATER(s) {
  if
  :: stopped -> afterwards = afterwards | BIT(s)
  :: else -> stepDue[s] = stepDue[s] | ME
  fi
}

/* SWING: from this swap's Mediator to the Root the phase implies; whoever comes first does it. */
#ifdef BROKEN_SWING
#define MAY_SWING(s) true
#else
#define MAY_SWING(s) gtt[OBJECT(s)] == MEDIATOR + (s)
#endif
inline SWING(s) {
  USE(s);
  if
  :: MAY_SWING(s) ->
    MUST(swing_only_from_own_mediator, gtt[OBJECT(s)] == MEDIATOR + (s) || gtt[OBJECT(s)] == FINAL(s));
    gtt[OBJECT(s)] = FINAL(s)
  :: else
  fi
}

/* A call waits in the queue of this swap's mediator here. */
#define IN_QUEUE(n, s) (state[C(n)] == QUEUED && trackedBy[C(n)] == 1 + (s))
inline LOOK_IN_QUEUE(s, found) {
  i_ = 0; found = 0;
  do
  :: i_ < PER && IN_QUEUE(i_, s) -> found = 1; i_++
  :: i_ < PER && !IN_QUEUE(i_, s) -> i_++
  :: else -> i_ = 0; break
  od
}

inline WITHDRAW_FROM(s) {
  if
  :: HAS(inReady, s) && ex != 1 + s ->
    USE(s);
    if
    :: phase[s] == BLOCK ->
      set[s] = set[s] | ME;
      inReady = inReady & ~BIT(s);
      if
      /* Sent away for another swap's sake, not for its own bound: nobody else will call it back. */
      :: ex != 0 -> afterwards = afterwards | BIT(s)
      :: else
      fi
    :: else
    fi
  :: else
  fi
}

inline CLAIM_PART(part) {
  USE(sw);
  if
  :: claim[sw * PARTS + (part)] == 0 -> claim[sw * PARTS + (part)] = 1 + me
  :: else
  fi
}

inline PARTS_DONE(s) {
  if
  :: claim[(s) * PARTS] == 1 + me -> partsDone[s] = partsDone[s] | 1
  :: else
  fi;
#if PARTS > 1
  if
  :: claim[(s) * PARTS + 1] == 1 + me -> partsDone[s] = partsDone[s] | 2
  :: else
  fi;
#endif
  skip
}

/* Made by nobody: a call that need not be. */
#define NEED_NOT_BE(c) (state[c] == 0 && ((c) % PER >= CALLS || !HAS(CALLERS, (c) / PER)))

#define CALL_CAN_GO_ON(n) (state[C(n)] == RUNNING && !AWAITS_NESTED(n))
#if NEST
/* Waits for the asynchronous call it has made. */
#define AWAITS_NESTED(n) ((n) < CALLS && nests[C(n)] == 0 && state[C((n) + NESTED)] != 0 && state[C((n) + NESTED)] != ENDED)
#else
#define AWAITS_NESTED(n) false
#endif

#define CAN_BE_READY(s) (phase[s] == BLOCK && TRACKED(s, me) == 0 && HAS(joined[s], me) && HAS(set[s], me))
#define CAN_COMMIT(s) (phase[s] == TRANSFER && partsDone[s] == BIT(PARTS) - 1 && ALL_DONE(s))
#define CAN_BEGIN_SHARE(s) (phase[s] == TRANSFER && STAGE(s, me) == 0 \
  && (HAS(joined[s], me) || (me == INITIATOR(s) && joined[s] == 0)))
#define CAN_IMPORT(s) (STAGE(s, me) == EXPORTED && (ALL_EXPORTED(s) || phase[s] != TRANSFER))
/* An asynchronous share whose call has ended. */
#define SHARE_CAN_GO_ON(s) (STAGE(s, me) == BEGUN && state[C(SHARED + (s))] == ENDED)
#define CAN_INTERPOSE(s) (me == INITIATOR(s) && phase[s] == 0 && gtt[OBJECT(s)] < MEDIATOR && readers[OBJECT(s)] == 0 \
  && ((s) == 0 || O == S || phase[0] != 0))
#define CAN_ASK_RELEASE(s) (me == INITIATOR(s) && !HAS(releaseAsked, s) && phase[s] >= COMPLETE && HAS(over, s) \
  && (interested[s] & ~finished[s]) == 0)
#define MUST_FINISH_FIRST(s) (HAS(releaseDue[s], me) && HAS(known[s], me) && !HAS(over, s) && !HAS(asked, s))
#define CAN_LET_GO(s) (HAS(releaseDue[s], me) && (!HAS(known[s], me) || HAS(over, s)))
#define CAN_RELEASE(s) (HAS(letGo[s], me) && AFTER(s, me) == 0 && !MOVING(s, me))
#if S > O
/* The swap of this object before this one has not finished here. */
#define WAITS_FOR_EARLIER(s) ((s) > 0 && HAS(known[0], me) && !HAS(over, 0))
#else
#define WAITS_FOR_EARLIER(s) false
#endif

#define MUST_RESET(s) (phase[s] < COMPLETE && HAS(joined[s], me) && !HAS(resetDone, s))
#ifdef BROKEN_EARLIER_IGNORED
#define RESET_WAITS(s) false
#else
#define RESET_WAITS(s) WAITS_FOR_EARLIER(s)
#endif
#ifdef BROKEN_READY_WITHOUT_STOP
#define NEEDS_STOP(s) false
#else
#define NEEDS_STOP(s) ISSYNC(OBJECT(s))
#endif

/* A processor may die before it has told the others; where none does, it may as well tell them at once. */
#if DEATHS
#define TELL_THEN_END_TURN goto _TELL_AND_END_TURN
#define TELL_THEN_STEP goto _TELL_AND_STEP
#define TELL_THEN_SWING goto _TELL_AND_SWING
#else
#define TELL_THEN_END_TURN TELL(sw); goto END_TURN
#define TELL_THEN_STEP TELL(sw); goto _STEP_AGAIN
#define TELL_THEN_SWING TELL(sw); goto _SWING_AND_END_TURN
#endif

/* Alternatives of a processor between turns, for one swap each. RELEASE is asked for by the initiator, then let go of by everybody. */
#define STEP_ON(s) :: HAS(stepDue[s], me) -> stepDue[s] = stepDue[s] & ~ME; sw = s; goto STEP
#define ELAPSE_ON(s) :: HAS(pending, s) && BEFORE(s, me) == 0 -> pending = pending & ~BIT(s); sw = s; goto ELAPSE
#define INTERPOSE_ON(s) :: CAN_INTERPOSE(s) -> sw = s; goto INTERPOSE
#define SHARE_ON(s) :: SHARE_CAN_GO_ON(s) -> sw = s; goto SHARE_GOES_ON
#define IMPORT_ON(s) :: CAN_IMPORT(s) -> sw = s; goto IMPORT
#define RELEASE_ON(s) \
  :: CAN_ASK_RELEASE(s) -> \
      releaseAsked = releaseAsked | BIT(s); \
      concerned[s] = touched[OBJECT(s)] | interested[s] | joined[s] | ME; \
      releaseDue[s] = concerned[s]; goto END_TURN \
  :: CAN_RELEASE(s) -> \
      letGo[s] = letGo[s] & ~ME; \
      released[s] = released[s] | ME; \
      if \
      :: (concerned[s] & ~released[s]) == 0 -> freed = freed | BIT(s) \
      :: else \
      fi; \
      goto END_TURN
/* Also at a stop point. */
#define SYSTEM_RELEASE_ON(s) \
  :: MUST_FINISH_FIRST(s) -> asked = asked | BIT(s); stepDue[s] = stepDue[s] | ME; goto END_TURN \
  :: CAN_LET_GO(s) -> \
      releaseDue[s] = releaseDue[s] & ~ME; \
      known[s] = known[s] & ~ME; \
      asked = asked & ~BIT(s); \
      IN_FLIGHT(AFTER(s, me), 0, OBJECT(s)); \
      letGo[s] = letGo[s] | ME; goto END_TURN
/* Alternatives of a processor at its stop point. */
#define SERVE_ON(s) \
  :: inReady != 0 && HAS(stepDue[s], me) -> stepDue[s] = stepDue[s] & ~ME; sw = s; goto STEP
#define SETTLE_ON(s) \
  :: HAS(inReady, s) && CAN_BEGIN_SHARE(s) -> sw = s; ex = 1 + s; goto WITHDRAW_ALL \
  :: HAS(inReady, s) && CAN_COMMIT(s) -> sw = s; goto COMMIT \
  :: HAS(inReady, s) && phase[s] >= COMPLETE -> \
      USE(s); \
      inReady = inReady & ~BIT(s); \
      afterwards = afterwards | BIT(s); goto END_TURN
#define CALL_ON(n) :: CALL_CAN_GO_ON(n) -> cur = n; goto GO_ON

/* On the old object, through the mediator. */
inline RUN_OLD() {
  if
  :: kind[C(cur)] == SYNC -> RUN(oldRoot[sw], 0); marked[C(cur)] = 1
  :: else -> RUN(oldRoot[sw], 1 + sw)
  fi
}

proctype Processor(byte me) {
  byte slot[O];
  byte resetDone; /* swaps whose slot here has been reset */
  byte pending;   /* swaps that wait for this processor's calls of before */
  byte over;      /* swaps finished here */
  byte early;     /* swaps that wait for the one before on the same object */
  byte made;      /* calls made */
  byte asked;     /* swaps to be finished because their release was asked for */
  /* The stop point. */
  bit stopped, open;
  byte inReady, afterwards;
  byte holder; /* 1 + the swap whose step has become the stop */
  /* The turn: call, object, swap; one more than the swap whose share it runs; whether the call comes from a share. */
  byte cur, ob, sw, ex;
  bit inShare, refused;

#if DEATHS
  {
#endif
  /*
   * One atomic region. What is reached by a jump inside it belongs to the same step; the jumps to labels that begin with an
   * underscore leave it for a moment, and that is where the others come in. No label is fallen into.
   */
  atomic {
    do
    :: ob < O -> slot[ob] = HAS(TOUCHED & ~(COLD), me) * FIRST(ob); ob++
    :: else -> ob = 0; break
    od;
    goto _BETWEEN_TURNS;

BETWEEN_TURNS:
end_between_turns:
    do
    :: made < CALLS && HAS(CALLERS, me) ->
        cur = made;
        made++;
        if
        :: ob = 0
        :: O > 1 -> ob = O - 1
        fi;
        if
        :: (KINDS & 1) && ISSYNC(ob) -> kind[C(cur)] = SYNC
        :: (KINDS & 2) -> kind[C(cur)] = ASYNC
        :: (KINDS & 4) -> kind[C(cur)] = WAITS
        fi;
#if NEST
        if
        :: nests[C(cur)] = 0
        :: (NEST & 1) && ISSYNC(0) -> nests[C(cur)] = 1 + SYNC
        :: (NEST & 2) -> nests[C(cur)] = 1 + ASYNC
        :: (NEST & 1) && O > 1 && ISSYNC(1) -> nests[C(cur)] = 3 + SYNC
        :: (NEST & 2) && O > 1 -> nests[C(cur)] = 3 + ASYNC
        fi;
#endif
        state[C(cur)] = CALLING;
        target[C(cur)] = ob;
        goto DISPATCH
    CALL_ON(0)
#if PER > 1
    CALL_ON(1)
#endif
#if PER > 2
    CALL_ON(2)
#endif
#if PER > 3
    CALL_ON(3)
#endif
#if PER > 4
    CALL_ON(4)
#endif
#if PER > 5
    CALL_ON(5)
#endif
    INTERPOSE_ON(0)
    ELAPSE_ON(0)
    STEP_ON(0)
#if S > 1
    INTERPOSE_ON(1)
    ELAPSE_ON(1)
    STEP_ON(1)
#endif
#if SHARECALL
    SHARE_ON(0)
    SHARE_ON(1)
#endif
#if BARRIER
    IMPORT_ON(0)
#if S > 1
    IMPORT_ON(1)
#endif
#endif
#if RELEASE
    RELEASE_ON(0)
    SYSTEM_RELEASE_ON(0)
#if S > 1
    RELEASE_ON(1)
    SYSTEM_RELEASE_ON(1)
#endif
#endif
    od;

    /* Nothing of a turn is left after it. */
END_TURN:
    cur = 0; ob = 0; sw = 0; ex = 0;
    if
    :: stopped -> goto _STOP_POINT
    :: else -> goto _BETWEEN_TURNS
    fi;
    assert(false);

    /* A call has returned to whoever made it: with its result, or with a promise. */
RETURN:
    if
#if SHARECALL
    :: inShare -> goto SHARE_CALL_RETURNED
#endif
#if NEST
    :: cur >= NESTED && cur < SHARED && kind[C(cur - NESTED)] == SYNC && state[C(cur - NESTED)] == RUNNING ->
      cur = cur - NESTED;
      goto _SYNC_RUNS
#endif
    :: else -> goto END_TURN
    fi;
    assert(false);

    /* A call has begun. A synchronous one takes its time, but ends within this turn. */
HAS_BEGUN:
    if
    :: kind[C(cur)] == SYNC -> goto _SYNC_RUNS
    :: else -> goto RETURN
    fi;
    assert(false);

    /*
     * A call that meets a mediator: one look at the swap word says what becomes of it.
     * FORWARD_SYNC: not counted, for a step never finds one on the stack. FORWARD_ASYNC: counted, and marked until it settles.
     */
INTERCEPT:
    assert(!HAS(over, sw));
    USE(sw);
    if
    :: phase[sw] == FORWARD || (phase[sw] == BLOCK && HAS(set[sw], me) && (kind[C(cur)] == SYNC || marked[C(cur)])) ->
      RUN_OLD();
      goto HAS_BEGUN
    :: phase[sw] == BLOCK && !HAS(set[sw], me) && (kind[C(cur)] == SYNC || marked[C(cur)]) ->
#ifdef BROKEN_SHARE_WITHOUT_WITHDRAWAL
      RUN_OLD();
      goto HAS_BEGUN
#else
#ifdef BROKEN_MARKED_WITHOUT_WITHDRAWAL
      if
      :: kind[C(cur)] != SYNC ->
        RUN_OLD();
        goto HAS_BEGUN
      :: else
      fi;
#endif
      goto _WITHDRAW_AND_RUN
#endif
    :: phase[sw] == TRANSFER && inShare ->
      /* REFUSE: it would wait for a swap that may wait for this very processor. */
      state[C(cur)] = ENDED;
      refused = 1;
      goto RETURN
    :: phase[sw] == TRANSFER && !inShare && kind[C(cur)] == SYNC -> goto _AWAIT_OUTCOME
    :: phase[sw] >= COMPLETE && kind[C(cur)] == SYNC ->
      SWING(sw);
      RUN(FINAL(sw), 0);
      goto HAS_BEGUN
    :: else ->
      /* ENQUEUE: where it is decided already, nobody else need ring any more. */
      state[C(cur)] = QUEUED;
      trackedBy[C(cur)] = 1 + sw;
#ifndef BROKEN_LATECOMER_QUEUE
      if
      :: phase[sw] >= COMPLETE -> stepDue[sw] = stepDue[sw] | ME
      :: else
      fi;
#endif
      goto RETURN
    fi;
    assert(false);

    /* Through the slot: on the Rep it holds, or a miss. */
DISPATCH:
    ob = target[C(cur)];
    if
    :: slot[ob] >= MEDIATOR -> sw = slot[ob] - MEDIATOR; goto INTERCEPT
    :: slot[ob] != 0 && slot[ob] < MEDIATOR -> RUN(slot[ob], 0); goto HAS_BEGUN
    :: slot[ob] == 0 -> touched[ob] = touched[ob] | ME; goto _MISS /* TOUCH */
    fi;
    assert(false);

    /* INSTALL: the slot gets the mediator, and the entry is unlocked. */
INSTALL:
    slot[ob] = MEDIATOR + sw;
    readers[ob] = readers[ob] & ~ME;
    goto INTERCEPT;
    assert(false);

    /* A miss that finds the swap decided. */
MISS_DECIDED:
    m_ = 0;
    if
    :: !HAS(over, sw) -> LOOK_IN_QUEUE(sw, m_)
    :: else
    fi;
    if
    :: m_ != 0 -> m_ = 0; goto INSTALL
    :: else ->
      SWING(sw);
      slot[ob] = FINAL(sw);
      readers[ob] = readers[ob] & ~ME;
      RUN(slot[ob], 0);
      goto HAS_BEGUN
    fi;
    assert(false);

    /* A miss to a mediator looks whether this processor takes part. */
LOOK:
    USE(sw);
    if
    :: phase[sw] >= COMPLETE -> goto MISS_DECIDED
    :: phase[sw] < COMPLETE && HAS(joined[sw], me) -> goto INSTALL
    :: phase[sw] < COMPLETE && !HAS(joined[sw], me) -> goto _JOIN
    fi;
    assert(false);

    /* An asynchronous call goes on: it makes the call nested in it and waits for that, or settles. */
GO_ON:
#if NEST
    if
    :: cur < CALLS && nests[C(cur)] != 0 -> goto NEST_CALL
    :: else -> END(cur); goto END_TURN
    fi;
#else
    END(cur);
    goto END_TURN;
#endif
    assert(false);

NEST_CALL:
    kind[C(cur + NESTED)] = (nests[C(cur)] - 1) % 2;
    target[C(cur + NESTED)] = (nests[C(cur)] - 1) / 2;
#ifndef BROKEN_MARK
    /* MARK: what a forwarded call calls is marked like it. */
    marked[C(cur + NESTED)] = marked[C(cur)];
#endif
    nests[C(cur)] = 0;
    cur = cur + NESTED;
    state[C(cur)] = CALLING;
    goto DISPATCH;
    assert(false);

    /* INTERPOSE: under the entry's write lock. The first set is written before the table is swung. */
INTERPOSE:
    ob = OBJECT(sw);
    touched[ob] = touched[ob] | ME;
#if DEATHS
    /* The dead are left out, as far as their deaths are known here. */
    if
    :: joined[sw] = touched[ob] & ~dead
    :: (touched[ob] & dead) != 0 -> joined[sw] = touched[ob]
    fi;
#else
    joined[sw] = touched[ob];
#endif
    oldRoot[sw] = gtt[ob];
    set[sw] = joined[sw];
    interested[sw] = joined[sw] | ME;
    known[sw] = known[sw] | ME;
    phase[sw] = FORWARD;
    gtt[ob] = MEDIATOR + sw;
    stepDue[sw] = stepDue[sw] | ME;
    TELL_THEN_END_TURN;
    assert(false);

    /* ELAPSE: the calls of before have ended. */
ELAPSE:
    if
#ifdef BROKEN_LATE_ELAPSE
    :: HAS(over, sw) -> USE(sw); goto END_TURN
#else
    :: HAS(over, sw) -> goto END_TURN
#endif
    :: else ->
      USE(sw);
      elapsed[sw] = elapsed[sw] | ME;
#if DEATHS
      goto _STEP_AGAIN
#else
      goto STEP_ONCE
#endif
    fi;
    assert(false);

    /* A step: whatever is due on this processor. */
STEP:
    if
    :: stopped && holder == 1 + sw ->
      /* Its step is under way: it is this stop. Where it does not wait for the swap any more, another is due afterwards. */
#ifndef BROKEN_STEP_LOST_AT_STOP
      if
      :: !HAS(inReady, sw) -> afterwards = afterwards | BIT(sw)
      :: else
      fi;
#endif
      goto END_TURN
    :: else
    fi;
    if
    :: HAS(over, sw) -> goto END_TURN
    :: !HAS(over, sw) && HAS(known[sw], me)
    :: !HAS(over, sw) && !HAS(known[sw], me) && gtt[OBJECT(sw)] == MEDIATOR + sw -> known[sw] = known[sw] | ME
    :: else ->
      /* Decided before this processor heard of it. */
      finished[sw] = finished[sw] | ME;
      goto END_TURN
    fi;
    goto STEP_ONCE;
    assert(false);

    /* The first thing that is due; after it the rest is looked at anew. */
STEP_ONCE:
    USE(sw);
    if
    :: MUST_RESET(sw) && !RESET_WAITS(sw) ->
      /* RESET: later calls miss to the Mediator, earlier ones are waited for. */
      resetDone = resetDone | BIT(sw);
      pending = pending | BIT(sw);
#ifndef BROKEN_RESET
      if
#ifndef BROKEN_JOINER_RESETS
      /* One that joined came with its slot on the mediator, and may have queued calls that must stay before later ones. */
      :: HAS(elapsed[sw], me)
#endif
      :: else -> slot[OBJECT(sw)] = 0
      fi;
#endif
#ifndef BROKEN_ELAPSE
      IN_FLIGHT(BEFORE(sw, me), 1, OBJECT(sw));
#endif
      if
      :: HAS(elapsed[sw], me) -> goto _STEP_AGAIN
      :: else -> goto END_TURN
      fi
    :: !(MUST_RESET(sw) && !RESET_WAITS(sw)) && phase[sw] == FORWARD && ALL_ELAPSED(sw) ->
      /* TO_BLOCK: by whoever finds that the last participant's calls of before have gone. */
      if
      :: set[sw] == 0 -> OPEN_TRANSFER(sw)
      :: else -> phase[sw] = BLOCK
      fi;
      TELL_THEN_STEP
    :: !(MUST_RESET(sw) && !RESET_WAITS(sw)) && CAN_BE_READY(sw) && !(NEEDS_STOP(sw) && stopped && (!open || HAS(inReady, sw))) ->
      if
      :: NEEDS_STOP(sw) ->
        /* STOP: the processor holds still. */
        inReady = inReady | BIT(sw);
        if
        :: !stopped -> stopped = 1; open = 1; holder = 1 + sw
        :: else
        fi
      :: else
      fi;
#ifdef BROKEN_SPLIT_WORD
      goto _READY_IN_HALVES
#else
      /* READY, TO_TRANSFER: the one that empties the set opens it, by the same compare-and-swap. */
      set[sw] = set[sw] & ~ME;
      if
      :: set[sw] == 0 -> OPEN_TRANSFER(sw)
      :: else
      fi;
#if DEATHS
      TELL_THEN_STEP
#else
      TELL(sw);
      if
      :: phase[sw] == TRANSFER && !stopped -> goto _STEP_AGAIN
      :: else -> goto END_TURN
      fi
#endif
#endif
    :: else ->
      if
      :: MUST_RESET(sw) -> early = early | BIT(sw); stepDue[0] = stepDue[0] | ME
      :: else
      fi;
      if
      :: phase[sw] == BLOCK && CAN_BE_READY(sw) && !HAS(inReady, sw) -> afterwards = afterwards | BIT(sw)
      :: else
      fi;
      if
      :: phase[sw] < TRANSFER || (stopped && holder == 1 + sw) -> goto END_TURN
      :: phase[sw] >= TRANSFER && stopped && holder != 1 + sw ->
        /* Shares and queued calls are user code: at a stop point they have to wait. */
        afterwards = afterwards | BIT(sw);
        goto END_TURN
      :: phase[sw] >= COMPLETE && !stopped -> goto FINISH
      :: CAN_BEGIN_SHARE(sw) && !stopped -> goto BEGIN_SHARE
      :: CAN_COMMIT(sw) && !stopped -> goto COMMIT
      :: else -> goto END_TURN
      fi
    fi;
    assert(false);

    /* CLAIM: of the parts that anybody may move, those nobody has claimed. */
CLAIM_PARTS:
    CLAIM_PART(0);
#if PARTS > 1
    goto _CLAIM_ANOTHER;
#else
    goto CLAIMED;
#endif
    assert(false);

    /* SHARE: this processor's parts, and those it claims. The stage is written first. */
BEGIN_SHARE:
    USE(sw);
    STAGE(sw, me) = BEGUN;
#if DEATHS
    goto _CLAIM;
#else
    goto CLAIM_PARTS;
#endif
    assert(false);

    /* WITHDRAW: from every swap still in BLOCK, but for the one whose share is to run. */
WITHDRAW_ALL:
#ifdef BROKEN_SHARE_WITHOUT_WITHDRAWAL
    if
    :: ex != 0 -> goto WITHDRAWN
    :: else
    fi;
#endif
    open = 0;
    WITHDRAW_FROM(0);
#if S > 1
    if
    :: HAS(inReady, 1) && ex != 2 -> goto _WITHDRAW_REST
    :: else
    fi;
#endif
    goto WITHDRAWN;
    assert(false);

WITHDRAWN:
    if
    :: ex != 0 -> ex = 0; goto BEGIN_SHARE
    :: else -> goto _STOP_POINT
    fi;
    assert(false);

    /* COMMIT: by the compare-and-swap of the phase, and by nothing else. */
COMMIT:
#ifdef BROKEN_COMMIT_STORED
    goto _STORE_COMMIT;
#else
    USE(sw);
    goto COMMITS;
#endif
    assert(false);

COMMITS:
    phase[sw] = COMPLETE;
    set[sw] = 0;
    committed = committed | BIT(sw);
    MUST(commit_and_abort_exclude, (committed & aborted) == 0);
    MUST(no_call_on_old_in_transfer, running[oldRoot[sw]] == 0);
    MUST(no_commit_with_open_share, !MOVING(sw, 0) && !MOVING(sw, P - 1) && !MOVING(sw, P / 2));
    STEP_LATER(sw);
    TELL_THEN_SWING;
    assert(false);

SHARE_GOES_ON:
#if BARRIER
    /* EXPORT: and wait for everybody's. */
    USE(sw);
    STAGE(sw, me) = EXPORTED;
    TELL_THEN_END_TURN;
#else
    goto IMPORT;
#endif
    assert(false);

SHARE_IS_DONE:
    USE(sw);
    STAGE(sw, me) = DONE;
    STEP_LATER(sw);
    TELL_THEN_END_TURN;
    assert(false);

    /* EXPORT, IMPORT: moves what it has claimed; what it brings too late is dropped. */
IMPORT:
    USE(sw);
    PARTS_DONE(sw);
#if DEATHS
    goto _SHARE_DONE;
#else
    goto SHARE_IS_DONE;
#endif
    assert(false);

FINISH:
    if
    :: WAITS_FOR_EARLIER(sw) ->
      early = early | BIT(sw);
      stepDue[0] = stepDue[0] | ME;
      goto END_TURN
    :: else ->
      SWING(sw);
      /* DRAIN: in order, in a turn of its own. */
      cur = 0;
      do
      :: cur < PER && IN_QUEUE(cur, sw) -> RUN(FINAL(sw), 0); cur++
      :: cur < PER && !IN_QUEUE(cur, sw) -> cur++
      :: else -> break
      od;
      slot[OBJECT(sw)] = 0;
      over = over | BIT(sw);
      finished[sw] = finished[sw] | ME;
      stepDue[sw] = stepDue[sw] & ~ME; /* it would find nothing to do */
#if S > O
      if
      :: HAS(early, 1) && sw == 0 -> early = 0; stepDue[1] = stepDue[1] | ME
      :: else
      fi;
#endif
      goto END_TURN
    fi;
    assert(false);

    /* What follows the claims: the parts are moved; an export may call out. */
CLAIMED:
#if SHARECALL
    if
    :: ISSYNC(OBJECT(sw)) && !ISSYNC(OBJECT(1 - sw)) -> goto SHARE_GOES_ON
    :: else ->
      ex = 1 + sw;
      cur = SHARED + sw;
      kind[C(cur)] = 1 - ISSYNC(OBJECT(1 - sw));
      target[C(cur)] = OBJECT(1 - sw);
      state[C(cur)] = CALLING;
      marked[C(cur)] = 1;
      inShare = 1;
      goto DISPATCH
    fi;
#else
    goto SHARE_GOES_ON;
#endif
    assert(false);

    /* MISS: under the entry's lock. */
MISS:
    if
    :: gtt[ob] < MEDIATOR -> slot[ob] = gtt[ob]; RUN(slot[ob], 0); goto HAS_BEGUN
    :: else
    fi;
    readers[ob] = readers[ob] | ME;
    sw = gtt[ob] - MEDIATOR;
    USE(sw);
    known[sw] = known[sw] | ME;
    if
    :: HAS(interested[sw], me) -> stepDue[sw] = stepDue[sw] | (ME & ~finished[sw]); goto LOOK
    :: else -> goto _INTEREST
    fi;

    /* INTEREST: first of all; whoever announces now either sees us, or we see the phase. */
INTEREST:
    interested[sw] = interested[sw] | ME;
    stepDue[sw] = stepDue[sw] | ME;
    goto _LOOK;

    /* JOIN: the words first, then the bit. */
JOIN:
    USE(sw);
    elapsed[sw] = elapsed[sw] | ME;
    goto _JOIN_SECOND;
JOIN_SECOND:
    USE(sw);
    joined[sw] = joined[sw] | ME;
    goto _JOIN_THIRD;
JOIN_THIRD:
    USE(sw);
    if
#ifdef BROKEN_SPLIT_WORD
    :: phase[sw] <= BLOCK -> goto _JOIN_FOURTH
#else
    :: phase[sw] <= BLOCK -> set[sw] = set[sw] | ME; goto INSTALL
#endif
    :: else -> goto _TOO_LATE
    fi;
JOIN_FOURTH:
    set[sw] = set[sw] | ME;
    goto INSTALL;
TOO_LATE:
    USE(sw);
    joined[sw] = joined[sw] & ~ME;
    goto _LEAVE;
    /* Whoever took us for a participant for a moment looks again. */
LEAVE:
    TELL(sw);
    goto _LATECOMER;
LATECOMER:
    USE(sw);
    if
    :: phase[sw] >= COMPLETE -> goto MISS_DECIDED
#ifdef BROKEN_LATECOMER_INSTALLED
    :: phase[sw] < COMPLETE && kind[C(cur)] == SYNC ->
      slot[ob] = oldRoot[sw];
      readers[ob] = readers[ob] & ~ME;
      RUN(slot[ob], 0);
      goto HAS_BEGUN
#endif
    :: else ->
#ifdef BROKEN_LATECOMER_QUEUE
      /* No participant, so nobody tells it, and it has no step of its own. */
      interested[sw] = interested[sw] & ~ME;
      stepDue[sw] = stepDue[sw] & ~ME;
#endif
      goto INSTALL
    fi;

    /* WITHDRAW: nothing calls on a processor that is ready; if something does, it is ready no more. */
WITHDRAW_AND_RUN:
    USE(sw);
    if
#ifdef BROKEN_SPLIT_WORD
    :: phase[sw] == BLOCK -> goto _WITHDRAW_SECOND
#else
    :: phase[sw] == BLOCK -> set[sw] = set[sw] | ME; RUN_OLD(); goto HAS_BEGUN
#endif
    :: else -> goto INTERCEPT
    fi;
#ifdef BROKEN_SPLIT_WORD
WITHDRAW_SECOND:
    set[sw] = set[sw] | ME;
    RUN_OLD();
    goto HAS_BEGUN;
#endif

    /* AWAIT: a synchronous latecomer holds its breath, and its processor. */
AWAIT_OUTCOME:
    phase[sw] != TRANSFER;
    goto INTERCEPT;

    /* A synchronous call ends within its turn; so does what it calls. */
SYNC_RUNS:
#if NEST
    if
    :: cur < CALLS && nests[C(cur)] != 0 -> goto NEST_CALL
    :: else
    fi;
#endif
    END(cur);
    goto RETURN;

    /* What is left of a step; TELL; SWING. */
STEP_AGAIN:
    goto STEP_ONCE;
#ifdef BROKEN_SPLIT_WORD
READY_IN_HALVES:
    set[sw] = set[sw] & ~ME;
    goto _READY_SECOND;
READY_SECOND:
    if
    :: set[sw] == 0 && phase[sw] == BLOCK -> goto _READY_THIRD
    :: else -> goto READY_SAID
    fi;
READY_THIRD:
    if
    :: phase[sw] == BLOCK -> OPEN_TRANSFER(sw)
    :: else
    fi;
READY_SAID:
    TELL(sw);
    goto _STEP_AGAIN;
#endif
#if DEATHS
TELL_AND_STEP:
    TELL(sw);
    goto _STEP_AGAIN;
TELL_AND_END_TURN:
    TELL(sw);
    goto END_TURN;
TELL_AND_SWING:
    TELL(sw);
    goto _SWING_AND_END_TURN;
#endif
SWING_AND_END_TURN:
    SWING(sw);
    goto END_TURN;

STOP_POINT:
    do
    :: inReady == 0 ->
        /* Runs on; what had to wait is due. */
        stopped = 0; open = 0; holder = 0;
        if
        :: HAS(afterwards, 0) -> stepDue[0] = stepDue[0] | ME
        :: else
        fi;
#if S > 1
        if
        :: HAS(afterwards, 1) -> stepDue[1] = stepDue[1] | ME
        :: else
        fi;
#endif
        afterwards = 0;
        goto _BETWEEN_TURNS
    /* PAUSE_ENDS: the bound passes. */
    :: open && inReady != 0 -> goto WITHDRAW_ALL
    SERVE_ON(0)
    SETTLE_ON(0)
#if S > 1
    SERVE_ON(1)
    SETTLE_ON(1)
#endif
#if BARRIER
    IMPORT_ON(0)
#if S > 1
    IMPORT_ON(1)
#endif
#endif
#if RELEASE
    SYSTEM_RELEASE_ON(0)
#if S > 1
    SYSTEM_RELEASE_ON(1)
#endif
#endif
    od;

#if S > 1
WITHDRAW_REST:
    WITHDRAW_FROM(1);
    goto WITHDRAWN;
#endif
#if DEATHS
CLAIM:
    goto CLAIM_PARTS;
#endif
#if PARTS > 1
CLAIM_ANOTHER:
    CLAIM_PART(1);
    goto CLAIMED;
#endif
#if SHARECALL
SHARE_CALL_RETURNED:
    inShare = 0;
    sw = ex - 1;
    ex = 0;
    if
    :: refused -> refused = 0; goto _SHARE_FAILS
    :: !refused && !SETTLED(cur) -> goto END_TURN
    :: else -> goto SHARE_GOES_ON
    fi;
    /* ABORT: by this processor. The share is over all the same. */
SHARE_FAILS:
    USE(sw);
    if
    :: phase[sw] < COMPLETE ->
      phase[sw] = ABORTED;
      set[sw] = 0;
      aborted = aborted | BIT(sw);
      MUST(commit_and_abort_exclude, (committed & aborted) == 0)
    :: else
    fi;
    STAGE(sw, me) = DONE;
    STEP_LATER(sw);
    TELL_THEN_SWING;
#endif
#if DEATHS
SHARE_DONE:
    goto SHARE_IS_DONE;
#endif
#ifdef BROKEN_COMMIT_STORED
STORE_COMMIT:
    goto COMMITS;
#endif
    skip
  };
_STOP_POINT: goto STOP_POINT;
_BETWEEN_TURNS: goto BETWEEN_TURNS;
_SYNC_RUNS: goto SYNC_RUNS;
_WITHDRAW_AND_RUN: goto WITHDRAW_AND_RUN;
_AWAIT_OUTCOME: goto AWAIT_OUTCOME;
_MISS: goto MISS;
_INTEREST: goto INTEREST;
_LOOK: goto LOOK;
_JOIN: goto JOIN;
_JOIN_SECOND: goto JOIN_SECOND;
_JOIN_THIRD: goto JOIN_THIRD;
_TOO_LATE: goto TOO_LATE;
_LEAVE: goto LEAVE;
_LATECOMER: goto LATECOMER;
_STEP_AGAIN: goto STEP_AGAIN;
_SWING_AND_END_TURN: goto SWING_AND_END_TURN;
#if DEATHS
_CLAIM: goto CLAIM;
_SHARE_DONE: goto SHARE_DONE;
_TELL_AND_STEP: goto TELL_AND_STEP;
_TELL_AND_END_TURN: goto TELL_AND_END_TURN;
_TELL_AND_SWING: goto TELL_AND_SWING;
#endif
#if PARTS > 1
_CLAIM_ANOTHER: goto CLAIM_ANOTHER;
#endif
#if S > 1
_WITHDRAW_REST: goto WITHDRAW_REST;
#endif
#if SHARECALL
_SHARE_FAILS: goto SHARE_FAILS;
#endif
#if defined(BROKEN_COMMIT_STORED)
_STORE_COMMIT: goto STORE_COMMIT;
#endif
#if defined(BROKEN_SPLIT_WORD)
_JOIN_FOURTH: goto JOIN_FOURTH;
_WITHDRAW_SECOND: goto WITHDRAW_SECOND;
_READY_IN_HALVES: goto READY_IN_HALVES;
_READY_SECOND: goto READY_SECOND;
_READY_THIRD: goto READY_THIRD;
#endif
  skip
#if DEATHS
  } unless { HAS(dead, me) }
#endif
}

#if ABORTS
/* ABORT: a deadline, a signal, a destruction, an overflow, at any point, perhaps too late. */
proctype Aborter(byte s) {
  atomic {
    phase[s] != 0 ->
    if
    :: phase[s] < COMPLETE ->
      phase[s] = ABORTED;
      set[s] = 0;
      aborted = aborted | BIT(s);
      MUST(commit_and_abort_exclude, (committed & aborted) == 0);
      stepDue[s] = stepDue[s] | interested[s]
    :: else
    fi;
#if RELEASE
    /* Within the processor's turn: the block cannot go meanwhile. */
    if
    :: aborted != 0 && !HAS(freed, s) -> SWING(s)
    :: else
    fi
#endif
  }
#if !RELEASE
  atomic { SWING(s) }
#endif
}
#endif

#if DEATHS
byte buried[S];

/* Processors end, wherever they are. Their calls end with them. */
proctype Killer() {
  byte victim;
  do
  :: atomic {
      deathsLeft != 0 ->
      deathsLeft--;
      if
      :: HAS(VICTIMS, 1) && P > 1 && !HAS(dead, 1) -> victim = 1
      :: HAS(VICTIMS, 2) && P > 2 && !HAS(dead, 2) -> victim = 2
      fi;
      dead = dead | BIT(victim);
      stepDue[0] = stepDue[0] & ~dead;
      stepDue[S - 1] = stepDue[S - 1] & ~dead;
      TRACKED(0, victim) = 0;
      TRACKED(S - 1, victim) = 0;
      i_ = 0;
      do
      :: i_ < PER ->
        running[runsOn[victim * PER + i_]]--;
        running[0] = 0;
        FORGET_CALL(victim, i_);
        i_++
      :: else -> i_ = 0; break
      od;
      victim = 0
    }
  :: deathsLeft == 0 -> break
  od
}

/* BURY: whoever notices a death, by an event or, where it is parked, by looking; and tells everybody. */
#ifdef BROKEN_BURIED_BY_ONE_SCAN
#define MUST_BURY(s) ((dead & ~buried[s]) != 0)
#else
#define MUST_BURY(s) (phase[s] != 0 && (dead & ~buried[s]) != 0)
#endif
#define CLAIMED_BY(s, p) (claim[(s) * PARTS] == 1 + (p) && !HAS(partsDone[s], 0) \
  || claim[(s) * PARTS + PARTS - 1] == 1 + (p) && !HAS(partsDone[s], PARTS - 1))
proctype Undertaker() {
  byte s, victim;
NEXT:
end_nobody_to_bury:
  do
  :: atomic { (readers[0] & dead) != 0 -> readers[0] = readers[0] & ~dead }
#if O > 1
  :: atomic { (readers[1] & dead) != 0 -> readers[1] = readers[1] & ~dead }
#endif
  :: atomic { MUST_BURY(0) -> s = 0; break }
#if S > 1
  :: atomic { MUST_BURY(1) -> s = 1; break }
#endif
  od;
  atomic {
    victim = 2 - HAS(dead & ~buried[s], 1);
    if
    :: phase[s] == 0 -> goto BURIED
    :: phase[s] >= COMPLETE -> goto TELL_ALL
    :: phase[s] != 0 && phase[s] < COMPLETE &&
      (victim == INITIATOR(s) || CLAIMED_BY(s, victim) || (HAS(joined[s], victim) && MOVING(s, victim))) ->
#ifdef BROKEN_DEATH_IN_SHARE
      skip
#else
      /* Nobody would see it through, or a part was half moved. */
      phase[s] = ABORTED;
      set[s] = 0;
      aborted = aborted | BIT(s);
      MUST(commit_and_abort_exclude, (committed & aborted) == 0);
      goto TELL_ALL
#endif
    :: else
    fi
  }
  atomic { joined[s] = joined[s] & ~BIT(victim) }
  atomic {
    if
#ifndef BROKEN_DEATH_KEEPS_BIT
    :: phase[s] <= BLOCK && HAS(set[s], victim) ->
      set[s] = set[s] & ~BIT(victim);
      if
      :: phase[s] == BLOCK && set[s] == 0 -> OPEN_TRANSFER(s)
      :: else
      fi
#endif
    :: else
    fi
  }
TELL_ALL:
  atomic {
    if
#ifdef BROKEN_DEATH_AFTER_DECISION
    :: phase[s] >= COMPLETE
#endif
    :: else -> stepDue[s] = stepDue[s] | (interested[s] & ~dead)
    fi
  }
BURIED:
  atomic {
    buried[s] = buried[s] | BIT(victim);
    s = 0; victim = 0;
    goto NEXT
  }
}
#endif

#define WON(o, s) (gtt[o] < MEDIATOR && (NEVER_BEGUN(s) || gtt[o] == FINAL(s)))
#define NEVER_BEGUN(s) (phase[s] == 0 && HAS(dead, INITIATOR(s)))
/* When nothing can happen any more, everything must have happened. */
proctype Judge() {
  byte c;
  timeout ->
  d_step {
    /* One whose initiator died before it began is none. */
    MUST(every_swap_is_decided, (phase[0] >= COMPLETE || NEVER_BEGUN(0)) && (phase[S - 1] >= COMPLETE || NEVER_BEGUN(S - 1)));
    do
    :: c < ALL ->
      MUST(every_queue_is_drained, state[c] != QUEUED || HAS(dead, c / PER));
      MUST(every_call_has_ended, state[c] == ENDED || HAS(dead, c / PER) || NEED_NOT_BE(c));
      c++
    :: else -> break
    od;
    MUST(every_processor_has_finished, (known[0] & ~finished[0] & ~dead) == 0 && (known[S - 1] & ~finished[S - 1] & ~dead) == 0);
    MUST(entry_names_the_winner, WON(0, (S > O) * (S - 1)) && WON(O - 1, S - 1));
#if !ABORTS && !DEATHS && !SHARECALL
    MUST(swap_completes_if_nothing_fails, aborted == 0);
#endif
#if RELEASE
    MUST(everything_is_released, freed == BIT(S) - 1);
#endif
    skip
  }
}

init {
  atomic {
    byte n;
    do
    :: n < O -> gtt[n] = FIRST(n); touched[n] = TOUCHED & LIVEONES; n++
    :: else -> n = 0; break
    od;
    do
    :: n < P -> run Processor(n); n++
    :: else -> n = 0; break
    od;
#if ABORTS & 1
    run Aborter(0);
#endif
#if ABORTS & 2
    run Aborter(1);
#endif
#if DEATHS
    run Killer();
    run Undertaker();
#endif
#ifndef ONLY_SAFETY
    run Judge()
#endif
  }
}
