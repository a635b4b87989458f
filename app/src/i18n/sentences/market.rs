//! Why nothing matches, what fields are refused with, and all else that is not money or work in a job.

/// English and Chinese with the same number of places, longer patterns before the shorter ones that they begin with.
pub(super) const PATTERNS: &[(&str, &str)] = &[
    // Why nothing matches.
    (
        "{} It may cost at most {} per hour.",
        "{}每小时最多可付 {}。",
    ),
    (
        "No offer matches: {} removes {} of {} offers; {}.",
        "没有匹配的报价：{} 排除了 {} / {} 个报价；{}。",
    ),
    (
        "No offer matches: {} removes {} of {} offers.",
        "没有匹配的报价：{} 排除了 {} / {} 个报价。",
    ),
    (
        "a price above 0; pause the device to keep it out of the market",
        "价格须大于 0；如需退出市场，请暂停该设备",
    ),
    ("No offer matches.", "没有匹配的报价。"),
    (
        "What fits came after the time that it was to wait.",
        "符合的报价在等待时间结束后才出现。",
    ),
    (
        "Nothing is offered in this way at the moment: no worker is connected, or none is rented out as this kind.",
        "目前没有这种租用方式的报价：没有机器接入，或没有机器以此方式出租。",
    ),
    ("Not enough together: {}.", "同时可用的设备不足：{}。"),
    ("removes {} of {} offers; {}", "排除了 {} / {} 个报价；{}"),
    ("removes {} of {} offers", "排除了 {} / {} 个报价"),
    (
        "without it {} would match; all of them are hired, try again soon",
        "若无此条件有 {} 个符合；它们都已租出，请稍后再试",
    ),
    (
        "without it {} would match; its owner has paused it",
        "若无此条件有 {} 个符合；机主已将其暂停",
    ),
    (
        "without it {} would match; outside the hours in which its owner rents it out",
        "若无此条件有 {} 个符合；现在不在机主的出租时段内",
    ),
    (
        "without it {} would match; its machine is not connected, or takes no new job",
        "若无此条件有 {} 个符合；其机器未连接，或不再接受新任务",
    ),
    (
        "without it {} would match; its machine cannot isolate jobs",
        "若无此条件有 {} 个符合；其机器无法隔离任务",
    ),
    (
        "without it {} would match; the cheapest costs {} IO/h",
        "若无此条件有 {} 个符合；最便宜的为 {} IO/小时",
    ),
    (
        "without it {} would match; the nearest costs {} IO/h",
        "若无此条件有 {} 个符合；最接近的为 {} IO/小时",
    ),
    (
        "without it {} would match; the nearest has {} at {} IO/h",
        "若无此条件有 {} 个符合；最接近的为 {}，{} IO/小时",
    ),
    ("without it {} would match", "若无此条件有 {} 个符合"),
    (
        "no node has {} free devices that match",
        "没有一台机器有 {} 个空闲且符合的设备",
    ),
    (
        "{} nodes with {} free devices each were asked for, and {} match",
        "需要 {} 台机器、每台 {} 个空闲设备，符合的有 {} 台",
    ),
    (
        "{} nodes were asked for, and {} match",
        "需要 {} 台机器，符合的有 {} 台",
    ),
    (
        "{} nodes with {} free devices each of one group were asked for, and the most that match in one are {}; only nodes whose owners name a group count, near=any looks everywhere",
        "需要同一组内 {} 台机器、每台 {} 个空闲设备，一组中最多有 {} 台符合；只计机主写明组名的机器，near=any 不限位置",
    ),
    (
        "{} nodes of one group were asked for, and the most that match in one are {}; only nodes whose owners name a group count, near=any looks everywhere",
        "需要同一组内 {} 台机器，一组中最多有 {} 台符合；只计机主写明组名的机器，near=any 不限位置",
    ),
    (
        "{} nodes of one country were asked for, and the most that match in one are {}; near=any looks everywhere",
        "需要同一国家内 {} 台机器，一国中最多有 {} 台符合；near=any 不限位置",
    ),
    (
        "{} nodes of one region were asked for, and the most that match in one are {}; near=any looks everywhere",
        "需要同一地区内 {} 台机器，一个地区中最多有 {} 台符合；near=any 不限位置",
    ),
    (
        "the cheapest that match ask {} IO/h together before the fee, which is more than the limit price",
        "最便宜的符合者合计要价 {} IO/小时（未含手续费），超过价格上限",
    ),
    // What happens to a job.
    ("Finished.", "已完成。"),
    (
        "The command ended with exit code {}.",
        "命令以退出码 {} 结束。",
    ),
    (
        "The command was ended by signal {}.",
        "命令被信号 {} 终止。",
    ),
    (
        "It used more than its {} MiB of memory and was ended. Ask for more memory.",
        "内存使用超过 {} MiB 而被终止。请申请更多内存。",
    ),
    (
        "It filled its {} MiB of disk. Ask for more disk or write less.",
        "磁盘 {} MiB 已写满。请申请更多磁盘或减少写入。",
    ),
    (
        "It started more than its {} processes.",
        "启动的进程超过 {} 个。",
    ),
    (
        "It reached its time limit of {} s.",
        "已达到 {} 秒的时间上限。",
    ),
    ("Stopped by you.", "由您停止。"),
    (
        "The balance ran out; it was stopped in time. Nothing is owed.",
        "余额用尽，已及时停止，没有欠款。",
    ),
    (
        "The owner's machine went into maintenance.",
        "机主的机器进入维护。",
    ),
    (
        "Taken back for a job that pays the full price; it goes on elsewhere.",
        "设备已被支付全价的任务收回，本任务将在别处继续。",
    ),
    (
        "The machine was lost; its silence is not billed.",
        "机器失联，失联期间不收费。",
    ),
    (
        "It could not start: {} Nothing was billed.",
        "无法启动：{}未产生费用。",
    ),
    ("No machine was found for it: {}", "没有找到合适的机器：{}"),
    (
        "Another of the job's nodes ended it.",
        "作业的另一台机器结束了它。",
    ),
    (
        "It was restarted {} times, as often as it may be.",
        "已重启 {} 次，达到上限。",
    ),
    (
        "the balance lasts {} s more; then the job is stopped",
        "余额还可用 {} 秒，之后任务将停止",
    ),
    (
        "A job that pays the full price takes the device. It was told to end; it has until {} to write its checkpoint, and goes on elsewhere.",
        "支付全价的任务将使用该设备。本任务已收到结束通知，须在 {} 之前写好检查点，之后在别处继续。",
    ),
    (
        "A spot job makes room until {}, at the latest until {}.",
        "竞价任务将在 {} 之前让出设备，最迟 {}。",
    ),
    (
        "The {} that were set aside for it are free again. It waits on, and sets money aside anew when its turn comes.",
        "为其预留的 {} 已解冻。任务继续等待，轮到时再重新预留。",
    ),
    (
        "The machine is not what was hired: {}",
        "机器与租用的不符：{}",
    ),
    ("the {} is not there any more.", "{} 已不在。"),
    (
        "it gave the job back in mid-run: {}",
        "它在运行中途退回了任务：{}",
    ),
    (
        "it was told to stop, and its card was not shown after.",
        "它被要求停止，之后没有通过显卡验证。",
    ),
    (
        "its {} was lost in mid-run and did not show afterwards that it is one.",
        "其 {} 在运行中途失联，之后未能证明自己。",
    ),
    (
        "two other machines computed slice {} of {} again, and agree on something else: {}.",
        "第 {} 片（{}）经另外两台机器重算，结果一致且与其不同：{}。",
    ),
    (
        "it shows a {} where a {} was hired.",
        "显示为 {}，而租用的是 {}。",
    ),
    (
        "its {} shows {} MiB of memory where {} MiB were hired.",
        "{} 显示内存 {} MiB，而租用的是 {} MiB。",
    ),
    ("node {}: {}", "机器 {}：{}"),
    (
        "there is no program {} in the job's PATH or inputs.",
        "任务的 PATH 或输入文件中没有程序 {}。",
    ),
    (
        "there is no program {} in the job's PATH or inputs",
        "任务的 PATH 或输入文件中没有程序 {}",
    ),
    // What a round asked of a device.
    ("{} or more", "至少 {}"),
    ("{} or less", "不超过 {}"),
    // What the price editor asks for.
    ("a number, such as 6 or 1.5", "请填写数字，例如 6 或 1.5"),
    ("say how long a term is at least", "请填写最短租期"),
    (
        "{} cannot be read; write a line such as mon-fri 22:00-06:00",
        "无法识别 {}；请写成 mon-fri 22:00-06:00 的形式",
    ),
    (
        "hours ahead of UTC, such as +1",
        "比 UTC 快的小时数，例如 +1",
    ),
    (
        "the smallest price above zero is {} IO an hour",
        "大于零的最低价格为每小时 {} IO",
    ),
    (
        "the amount is larger than all IO there can ever be (800,000,000)",
        "金额超过 IO 的总量（800,000,000）",
    ),
    (
        "at most the longest time that is taken, and at most 30 days",
        "不得长于最长任务，且最多 30 天",
    ),
    (
        "at most 30 days; leave it out for no limit",
        "最多 30 天；留空表示不限",
    ),
    (
        "a price above zero; take it away to offer no spot",
        "须大于零；留空则不提供竞价",
    ),
    (
        "at most the on-demand price: nobody rents what can be taken back for more",
        "不得高于按需价格：可被收回的设备不会有人以更高价租用",
    ),
    (
        "a price above zero; take it away to offer no terms",
        "须大于零；留空则不提供包期",
    ),
    (
        "at least a second, and at most the longest time that is taken or 30 days",
        "至少一秒，且不得长于最长任务或 30 天",
    ),
    ("a price above zero", "须大于零"),
    ("at least the floor", "不得低于下限"),
    (
        "1 to 42 windows; take the schedule away to be open at any time",
        "1 到 42 个时段；留空则随时开放",
    ),
    (
        "a window begins from 00:00 to 23:59 (minute 0 to 1439) and ends by 24:00 (minute 1440)",
        "时段应从 00:00 到 23:59 开始，并在 24:00 前结束",
    ),
    (
        "at most 14 hours (840 minutes) ahead of UTC or behind",
        "与 UTC 相差最多 14 小时",
    ),
    // What a quote is refused with.
    (
        "The quote cannot be kept: {}, and nothing else that matches is free for at most {} per hour; ask for a new quote.",
        "无法履行该报价：{}，且没有其他符合条件、每小时不超过 {} 的空闲设备；请重新询价。",
    ),
    ("{} was hired by somebody else", "{} 已被他人租用"),
    ("{} is not connected any more", "{} 已断开连接"),
    ("{} was paused by its owner", "{} 已被机主暂停"),
    ("{} cannot isolate jobs any more", "{} 已无法隔离任务"),
    ("{} does not fit any more", "{} 已不再符合"),
    (
        "This quote is over; ask for a new one, the price may be another now.",
        "该报价已过期；请重新询价，价格可能已变化。",
    ),
    (
        "This quote was used by another job; ask for a new one.",
        "该报价已被另一个任务使用；请重新询价。",
    ),
    (
        "This quote is for another job; send the specification and device it was asked for, or ask for a new one.",
        "该报价属于另一个任务；请按询价时的规格与设备提交，或重新询价。",
    ),
    (
        "This needs at least {} and {} is available; add to the balance or choose a cheaper offer.",
        "至少需要 {}，可用 {}；请充值或选择更便宜的报价。",
    ),
    (
        "An account keeps {} searches; delete one first.",
        "每个账户最多保存 {} 个搜索；请先删除一个。",
    ),
    (
        "write a query first, such as vram>=24",
        "请先写查询，例如 vram>=24",
    ),
    (
        "a job has at most 64 nodes with 64 devices each",
        "一个任务最多 64 台机器、每台 64 个设备",
    ),
    (
        "one device was chosen, and the job asks for several; leave out the device, or count and nodes",
        "已选定一个设备，而任务需要多个；请去掉所选设备，或去掉 count 与 nodes",
    ),
    (
        "a whole number of minutes from {} to {}",
        "{} 到 {} 之间的整数分钟",
    ),
    ("a whole number from {} to {}", "{} 到 {} 之间的整数"),
    // Queries that cannot be read.
    ("character {}: {}", "第 {} 个字符：{}"),
    ("{} (did you mean {}?)", "{}（您是否指 {}？）"),
    ("{} (for the region write {})", "{}（地区请写 {}）"),
    ("{} (for the country write {})", "{}（国家请写 {}）"),
    (
        "{} (for nodes that have at least 2 cards write {})",
        "{}（至少有 2 张卡的机器请写 {}）",
    ),
    (
        "there is no field {}; the fields are {}",
        "没有字段 {}；字段有 {}",
    ),
    ("there is no field {}", "没有字段 {}"),
    (
        "a field is missing before {}; write {}",
        "{} 之前缺少字段；请写 {}",
    ),
    (
        "{} is a field, and an operator is missing after it; write a term such as {}, or {}",
        "{} 是字段，其后缺少运算符；请写成 {} 的形式，或 {}",
    ),
    (
        "between field and value stands an operator, not {}; write {}",
        "字段与值之间应为运算符，而不是 {}；请写 {}",
    ),
    (
        "two operators stand here; write one, as in {}",
        "此处有两个运算符；请只写一个，例如 {}",
    ),
    (
        "{} takes only {}; write it like {}",
        "{} 只接受 {}；请写成 {}",
    ),
    (
        "a value is missing after {}; write one, as in {}",
        "{} 之后缺少值；请补上，例如 {}",
    ),
    (
        "a value is missing in the list; write one, as in {}",
        "列表中缺少值；请补上，例如 {}",
    ),
    (
        "a number is expected here, such as 24 or 1.5, not {}",
        "此处应为数字，例如 24 或 1.5，而不是 {}",
    ),
    (
        "{} is no number; write one such as 24 or 1.5",
        "{} 不是数字；请写 24 或 1.5 这样的数字",
    ),
    (
        "{} goes from {} to {}; write a smaller number",
        "{} 的范围是 {} 到 {}；请写更小的数字",
    ),
    (
        "{} goes from {} to {}; write a number between",
        "{} 的范围是 {} 到 {}；请写其间的数字",
    ),
    (
        "{} is no version; write one such as 12.4 ({})",
        "{} 不是版本号；请写 12.4 这样的版本号",
    ),
    ("{} is no unit; write {}", "{} 不是单位；请写 {}"),
    (
        "prices are in IO an hour, not in another money; write {}",
        "价格以每小时 IO 计，不用其他货币；请写 {}",
    ),
    (
        "{} is no unit of a price; write {}",
        "{} 不是价格单位；请写 {}",
    ),
    (
        "{} is no length of time; write one such as {}",
        "{} 不是时长；请写 {} 这样的时长",
    ),
    (
        "a length of time goes from 0s to 3650d; write a shorter one",
        "时长范围为 0s 到 3650d；请写更短的",
    ),
    (
        "{} is no known country; write its two letters, as in {}",
        "{} 不是已知国家；请写两位字母，例如 {}",
    ),
    (
        "{} is no region; write one of {}",
        "{} 不是地区；请从 {} 中选择",
    ),
    ("{} is one of {}", "{} 只能是 {} 之一"),
    (
        "this names no model; write a part of its name, as in {}",
        "这不是型号；请写型号名称的一部分，例如 {}",
    ),
    (
        "a group has a name; write it, as in {}",
        "组有名称；请写出，例如 {}",
    ),
    (
        "this quote is not closed; write another {} behind the text",
        "引号没有闭合；请在文字后再写一个 {}",
    ),
    (
        "this list is not closed; write {} behind it",
        "列表没有闭合；请在其后写 {}",
    ),
    ("to exclude a value, write {}", "要排除某个值，请写 {}"),
    ("{} is said twice; {}", "{} 写了两次；{}"),
    (
        "say the share of the index too, or leave both bounds empty",
        "请同时填写指数比例，或将上下限都留空",
    ),
    ("say what a term costs", "请填写整期价格"),
    (
        "round {} is not kept here; GET /api/v1/market/rounds has those that are",
        "此处没有保留第 {} 轮；/rounds 列出了保留的轮次",
    ),
    ("nothing is below 0; write {}", "没有小于 0 的值；请写 {}"),
    // What a body is refused with that has something of another kind at a field.
    (
        "expected a port from 1 to 65535, or its port, name, public and health in { }",
        "应为 1 到 65535 之间的端口，或 { } 中的 port、name、public 与 health",
    ),
    ("expected {}, not {}", "应为{}，而不是{}"),
    (
        "1 to 128 visible ASCII characters without spaces",
        "1 到 128 个可见 ASCII 字符，不含空格",
    ),
    ("a whole number that is not below zero", "不小于零的整数"),
    ("a number", "数字"),
    ("a text in quotes", "带引号的文本"),
    ("true or false", "true 或 false"),
    ("a list in [ ]", "[ ] 中的列表"),
    ("fields in { }", "{ } 中的字段"),
    ("a list", "列表"),
    ("the text {}", "文本 {}"),
    ("the number {}", "数字 {}"),
    ("is missing", "缺少此项"),
    (
        "another file's directory has this path",
        "此路径是另一文件所在的目录",
    ),
    ("two files have this path", "两个文件使用了此路径"),
    (
        "a file is where a directory should be",
        "应为目录之处是一个文件",
    ),
];
