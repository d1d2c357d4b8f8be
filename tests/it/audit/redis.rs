//! Corruptions of Redis: keys changed behind the scripts' back.

/// What it is called, exactly which checks it breaks, and how it is done.
pub struct Case {
    pub name: &'static str,
    pub breaks: &'static [&'static str],
    pub commands: &'static [&'static str],
}

const fn case(
    name: &'static str,
    breaks: &'static [&'static str],
    commands: &'static [&'static str],
) -> Case {
    Case { name, breaks, commands }
}

/// `@name` is a key; `*n` the id of order n, `*held` and `*claiming` those of the two holds.
/// `EDIT id from to` replaces text in a record.
pub const CASES: &[Case] = &[
    case("epoch", &["generation"], &["HSET @head epoch 2"]),
    case("state", &["generation"], &["HSET @head state paused"]),
    case("nothing_blocked", &["generation"], &["HSET @head blocked 0"]),
    case(
        "bit_lost",
        &[
            "bits are records",
            "claimed is taken",
            "hints are bounds",
            "drawer adds up",
            "drawer agrees",
        ],
        &["SETBIT @taken 0 0", "SETRANGE @hints 0 \x01"],
    ),
    case("bit_extra", &["bits are records"], &["SETBIT @taken 50 1"]),
    case(
        "bit_void",
        &["bits are records", "drawer adds up", "drawer agrees"],
        &["SETBIT @taken 12 1"],
    ),
    case(
        "double_held",
        &["one record per place"],
        &["EDIT held 9:0:1:0 23:1:1:0", "SETBIT @taken 9 0"],
    ),
    case("kill_lost", &["kills and allocations"], &["SETBIT @blocked:1 8 0"]),
    case(
        "allocation_lost",
        &["kills and allocations", "drawer agrees"],
        &["SETBIT @blocked:0 24 0"],
    ),
    case(
        "stretches",
        &["stretches", "hints are bounds", "drawer agrees"],
        &["SETRANGE @stretches 23 \x15"],
    ),
    case("hints", &["hints are bounds"], &["SETRANGE @hints 2 \x05"]),
    case(
        "unreadable",
        &[
            "records are readable",
            "bits are records",
            "counters in Redis",
            "every record has its clock",
        ],
        &["HSET @holds somebody nonsense", "EDIT held h| x|"],
    ),
    case("record_behind", &["records follow orders", "counters in Redis"], &["EDIT 1 s| c|"]),
    case(
        "record_gone",
        &["records follow orders", "claimed is taken", "drawer agrees"],
        &[
            "HDEL @holds *3",
            "SETBIT @taken 4 0",
            "SETBIT @taken 5 0",
            "HINCRBY @counts c -2",
            "HINCRBY @counts o:1 -2",
            "HDEL @counts a:*3",
        ],
    ),
    case(
        "record_too_far",
        &[
            "records follow orders",
            "counters in Redis",
            "every record has its clock",
            "drawer adds up",
            "drawer agrees",
        ],
        &["EDIT claiming g| c|"],
    ),
    case("no_deadline", &["every record has its clock"], &["ZREM @deadlines *held"]),
    case("no_watch", &["every record has its clock"], &["DEL @claiming"]),
    case("false_watch", &["every record has its clock"], &["ZADD @deadlines 1 *1"]),
    case("overdue", &["records in time"], &["ZADD @claiming 1000 *claiming"]),
    case(
        "return_unwatched",
        &["every record has its clock", "counters in Redis"],
        &["EDIT held h| b|", "ZREM @deadlines *held"],
    ),
    case(
        "return_overdue",
        &["records in time", "counters in Redis"],
        &["EDIT held h| b|", "ZREM @deadlines *held", "ZADD @returning 1000 *held"],
    ),
    case("counter", &["counters in Redis"], &["HINCRBY @counts o:1 1"]),
    case(
        "counter_sold",
        &["counters in Redis", "drawer adds up", "drawer agrees"],
        &["HINCRBY @counts s 1"],
    ),
];
