//! Every text of the interface, in English and Chinese side by side.

/// One line a word: a word without both languages does not match the pattern, so it does not compile. Each word is a
/// function, so that the browser's module carries only those that it shows.
macro_rules! words {
    ($($key:ident: $en:literal, $zh:literal;)*) => {
        /// The words of one language.
        #[derive(Debug)]
        pub struct Words(super::Locale);

        impl Words {
            pub(super) const fn of(locale: super::Locale) -> Self {
                Self(locale)
            }

            /// The language that they are of.
            #[cfg(feature = "ssr")]
            pub const fn locale(&self) -> super::Locale {
                self.0
            }

            $(pub const fn $key(&self) -> &'static str {
                match self.0 {
                    super::Locale::En => $en,
                    super::Locale::Zh => $zh,
                }
            })*
        }

        #[cfg(test)]
        pub(super) const ALL: &[(&str, &str, &str)] = &[$((stringify!($key), $en, $zh),)*];
    };
}

words! {
    // The frame
    site_description: "IOG rents GPUs and CPUs by the second. See the price per hour, launch a job, watch it live, and pay only for delivered seconds.", "IOG 按秒出租 GPU 和 CPU。查看每小时价格，提交任务，实时观察，只为实际交付的秒数付费。";
    skip: "Skip to content", "跳到正文";
    nav_label: "Main", "主导航";
    nav_phone: "Places", "主要页面";
    nav_bar: "Meter and places", "计量与页面";
    nav_home: "IOG, to the market", "IOG，前往市场";
    nav_market: "Market", "市场";
    nav_jobs: "Jobs", "任务";
    nav_earn: "Earn", "收益";
    nav_me: "Me", "我的";
    language: "Language", "语言";
    theme: "Theme", "主题";
    theme_auto: "Auto", "自动";
    theme_light: "Light", "浅色";
    theme_dark: "Dark", "深色";
    foot_note: "Internet of GPUs", "GPU 互联网";
    close: "Close", "关闭";
    cancel: "Cancel", "取消";
    retry: "Try again", "重试";
    loading: "Loading", "正在加载";
    older: "Older", "更早的";
    copied: "Copied", "已复制";
    copy_by_hand: "This browser does not let the page copy. Select the text and copy it.", "浏览器不允许本页复制，请选中文字后自行复制。";
    unit_d: "d", "天";
    unit_h: "h", "小时";
    unit_min: "min", "分";
    unit_s: "s", "秒";
    unit_price: "IO/h", "IO/小时";

    // The meter and the live link
    meter_label: "Rate, spent and runway; to billing", "速率、已花费与可用时长；前往账单";
    meter_rate: "Rate", "速率";
    meter_spent: "Spent", "已花费";
    meter_spent_running: "Spent, running", "运行中已花费";
    meter_runway: "Runway", "可用时长";
    meter_balance: "Balance", "余额";
    link_still: "As of page load", "加载时的数据";
    link_live: "Live", "实时";
    link_retrying: "Reconnecting", "正在重连";
    link_offline: "Offline", "离线";
    stale_retrying: "The connection was lost. What you see may be old; it is updated as soon as the server answers again.", "连接已断开。当前显示的可能是旧数据，服务器恢复后会立即更新。";
    stale_offline: "You are offline. What you see is the last that was known.", "您已离线。当前显示的是最后已知的数据。";

    // Refusals
    fault_invalid: "Something needs a change", "有内容需要修改";
    fault_unauthenticated: "Please sign in", "请先登录";
    fault_forbidden: "Not allowed", "没有权限";
    fault_not_found: "Not found", "找不到";
    fault_conflict: "Not possible in this state", "当前状态下无法进行";
    fault_no_match: "No offer matches", "没有匹配的设备";
    fault_funds: "Not enough balance", "余额不足";
    fault_too_large: "Too large", "内容过大";
    fault_too_many: "Too many requests", "请求过于频繁";
    fault_internal: "Something went wrong on our side", "我们这边出了问题";
    fault_unavailable: "Not available right now", "暂时不可用";
    not_found_title: "This page does not exist", "页面不存在";
    not_found_text: "The address may be mistyped, or what was here is gone.", "地址可能有误，或者内容已被移除。";
    not_found_action: "To the market", "前往市场";

    // Accounts
    sign_in: "Sign in", "登录";
    sign_in_lead: "To rent devices, or to see what yours earn.", "登录后即可租用设备，或查看您的设备收益。";
    sign_up: "Create an account", "创建账户";
    sign_up_lead: "One account rents and earns.", "同一个账户既可租用，也可出租。";
    sign_out: "Sign out", "退出登录";
    sign_out_everywhere: "Sign out everywhere", "退出所有设备";
    no_account: "No account yet?", "还没有账户？";
    have_account: "Already have an account?", "已有账户？";
    name: "Name", "名称";
    email: "E-mail", "邮箱";
    password: "Password", "密码";
    password_hint: "At least 8 characters; a few words you remember are good.", "至少 8 个字符；几个您记得住的词就很好。";
    account_title: "Account", "账户";
    account_who: "Who you are", "您的信息";
    account_id: "Account ID", "账户编号";
    account_since: "Since", "注册时间";
    tab_account: "Account", "账户";
    tab_billing: "Billing", "账单";
    sessions: "Sessions", "登录会话";
    sessions_text: "A session ends after 14 days. If a device is lost, end all of them.", "会话在 14 天后结束。如有设备遗失，请结束所有会话。";
    keys_title: "API keys", "API 密钥";
    keys_text: "A key lets a program act for you, within its scopes. Only its hash is stored.", "密钥让程序在其权限范围内代表您操作。我们只保存它的哈希值。";
    keys_none: "No keys yet.", "还没有密钥。";
    key_name: "Name of the key", "密钥名称";
    key_scopes: "What it may do", "权限范围";
    key_make: "Create key", "创建密钥";
    key_made: "Copy the key now; it is shown this once.", "请立即复制密钥，它只显示这一次。";
    key_copy: "Copy the key", "复制密钥";
    key_used: "Last used", "最近使用";
    key_never: "Never", "从未使用";
    key_revoke: "Revoke", "撤销";
    key_revoked: "Key revoked", "密钥已撤销";
    scope_read: "Read: see everything of the account", "读取：查看账户的全部内容";
    scope_jobs: "Jobs: quote, submit and stop", "任务：报价、提交和停止";
    scope_nodes: "Nodes: join, price, pause and remove", "机器：加入、定价、暂停和移除";

    // Market
    market_title: "Market", "市场";
    market_lead: "Devices that can be rented now, by the second. Prices are per hour and all-in.", "现在可以按秒租用的设备。价格为每小时总价，已含费用。";
    market_supply: "{} machines online · GPUs: {} proven of {} claimed · {} CPUs · {} jobs running", "{} 台机器在线 · GPU：已验证 {}，共声明 {} · CPU {} 个 · 运行中的任务 {} 个";
    market_empty: "No device is offered right now", "目前没有可租用的设备";
    market_empty_text: "The market fills as owners connect their machines. Yours can be the first.", "机主接入机器后，市场就会有设备。您可以成为第一个。";
    market_empty_action: "Connect a machine", "接入机器";
    market_kind_none: "Nothing is rented out in this way now", "目前没有以此方式出租的设备";
    market_kind_none_text: "{} machines are online, and none is offered as: {}.", "有 {} 台机器在线，但均未提供：{}。";
    market_none_why: "What stands in the way:", "原因：";
    market_none: "No offer passes this filter", "没有符合筛选条件的设备";
    market_none_text: "There are no more offers on this page of the list.", "列表的这一页没有更多报价。";
    market_none_action: "Clear the filter", "清除筛选";
    model_title: "A model's price", "型号价格";
    model_lead: "What it costs, how that is known, and who asks what. All prices are what a requester pays.", "价格、依据与报价。所有价格均为租用方实付价。";
    model_back: "To the market", "返回市场";
    model_unknown: "No such model", "没有此型号";
    model_unknown_text: "Nobody has offered it here yet.", "尚无人提供该型号。";
    model_not_now: "Nobody offers it right now.", "目前无人提供。";
    model_history: "Price history", "价格历史";
    model_no_history: "A point is noted every five minutes; the line begins with the second.", "每五分钟记录一个数据点；从第二个点开始绘制。";
    model_span: "How far back", "时间范围";
    model_days: "{} d", "{} 天";
    model_samples: "Fair price, a median. Trades in the last 24 h: {} · owners asking: {}", "公允价（中位数）。过去 24 小时成交：{} · 报价机主：{}";
    model_lowest: "Lowest ask", "最低报价";
    model_median: "Median ask", "报价中位数";
    model_scarcity: "Scarcity", "紧缺程度";
    model_hired: "{} of {} hired ({} %)", "{} / {} 已租出（{} %）";
    model_median_share: "24 h median {} %", "24 小时中位数 {} %";
    model_order: "Order it and wait", "下单并等待";
    model_chart: "Fair price from {} to {} IO/h since {}", "公允价由 {} 变为 {} IO/小时，自 {} 起";
    model_legend: "Coloured: fair price. Grey: lowest ask. IO/h.", "彩色：公允价。灰色：最低报价。单位 IO/小时。";
    model_book: "Order book", "订单簿";
    col_offers: "Offers", "报价数";
    col_free: "Free", "空闲";
    market_query: "Find a device", "查找设备";
    market_query_help: "Words of a model, or terms: rtx 4090 vram>=24 country notin [us] price<=0.9/h reputation>=90", "型号关键词，或条件：rtx 4090 vram>=24 country notin [us] price<=0.9/h reputation>=90";
    market_chips: "Common terms", "常用条件";
    market_unreadable: "This query cannot be read", "无法识别该查询";
    market_count: "{} of {} offers match", "{} / {} 个报价符合";
    market_rent_best: "Rent the cheapest that matches", "租用最便宜的匹配设备";
    market_before: "Back", "上一页";
    market_next: "More", "下一页";
    need_wait: "If nothing matches, wait", "若无匹配则等待";
    event_waiting: "Waiting for an offer", "等待报价";
    job_waits: "Nothing matches yet. It waits in the market until {} and costs nothing meanwhile.", "目前没有匹配的报价。任务将在市场中等待至 {}，期间不收费。";
    quote_waits: "Nothing matches now; the job would wait in the market.", "目前没有匹配；任务将在市场中等待。";
    need_filter: "Also (a query as on the market)", "其他条件（与市场页查询相同）";
    filter_model: "Model", "型号";
    filter_class: "Class", "类别";
    filter_idle: "Free now", "仅空闲";
    filter_apply: "Filter", "筛选";
    rent: "Rent", "租用";
    rent_label: "Rent {} on {}", "租用 {}（{}）";
    rent_not_now: "Not free", "不空闲";
    proven: "proven", "已验证";
    claimed: "claimed", "仅声明";
    col_device: "Device", "设备";
    col_price: "Per hour", "每小时";
    col_memory: "Device memory", "设备内存";
    col_cpus: "CPU · RAM", "CPU · 内存";
    col_reputation: "Reputation", "信誉";
    col_region: "Region", "地区";
    col_action: "Action", "操作";
    col_state: "State", "状态";
    device_idle: "Free", "空闲";
    device_hired: "Hired", "已租出";
    device_paused: "Paused", "已暂停";
    device_closed: "Outside its hours", "不在开放时段";
    device_down: "Down", "离线";
    device_blocked: "Blocked", "受限";

    // Launch
    launch: "Launch a job", "提交任务";
    launch_title: "Launch a job", "提交任务";
    launch_lead: "Start from an example or from your own command. The price is known before it starts.", "从示例或您自己的命令开始。启动之前就能知道价格。";
    launch_templates: "Examples", "示例";
    launch_work: "What runs", "运行内容";
    launch_needs: "What it needs", "资源需求";
    launch_more_work: "Environment and metrics", "环境变量与指标";
    launch_more_needs: "More limits", "更多限制";
    launch_place: "On which devices", "使用哪些设备";
    launch_more_place: "Where they stand", "所在位置";
    step_legend: "Steps", "步骤";
    step_work: "Run", "运行";
    step_place: "Devices", "设备";
    step_limits: "Limits", "限制";
    step_review: "Price", "价格";
    step_next: "Next", "下一步";
    step_back: "Back", "上一步";
    need_count: "Devices per node", "每台机器的设备数";
    need_nodes: "Nodes", "机器数";
    need_near: "Near each other", "彼此距离";
    need_spread: "Owners", "机主";
    near_any: "anywhere", "任意";
    near_group: "one group", "同一组";
    near_country: "one country", "同一国家";
    near_region: "one region", "同一地区";
    spread_any: "any", "任意";
    spread_owner: "each another", "各不相同";
    launch_on: "On the device you chose", "在您选择的设备上";
    launch_any_device: "Any device that fits", "任意合适的设备";
    launch_device_gone: "The device you chose is not offered any more. The job goes to the cheapest that fits.", "您选择的设备已不可用，任务将交给价格最低的合适设备。";
    launch_submit: "Launch", "启动";
    launch_sign_in: "Sign in to launch", "登录后启动";
    launch_poor: "The start needs {}; you have {}. Add balance under Billing.", "启动需要 {}，您有 {}。请到账单页充值。";
    template_digits: "Train a classifier", "训练分类器";
    template_digits_text: "Handwritten digits, loss and accuracy as curves, half a minute", "手写数字，实时损失与准确率曲线，约半分钟";
    template_mandelbrot: "Render an image", "渲染图像";
    template_mandelbrot_text: "The Mandelbrot set, row by row, a picture to download", "逐行渲染曼德博集合，可下载图片";
    template_hello: "Say hello", "你好，世界";
    template_hello_text: "Five seconds, to see how everything works", "五秒钟，看看整个流程";
    template_own: "Own command", "自定义命令";
    template_own_text: "An empty form", "空白表单";
    job_name: "Name", "名称";
    job_command: "Command", "命令";
    job_command_hint: "Program and arguments, quoted as in a shell. No shell is put in between.", "程序及其参数，引号规则与 shell 相同，但不经过 shell。";
    job_file: "A file beside it", "附带文件";
    job_file_path: "File name", "文件名";
    job_file_hint: "Relative to where the command starts, for example train.py", "相对于命令的启动目录，例如 train.py";
    job_file_content: "Content", "内容";
    job_env: "Environment", "环境变量";
    job_env_hint: "One NAME=value a line", "每行一个 NAME=value";
    job_metrics: "Metrics", "指标";
    job_metrics_hint: "Names of numbers that the output prints as name=number; they are drawn as curves.", "输出中以 name=数字 形式打印的指标名，会绘制成曲线。";
    need_minutes_limit: "Time limit", "时间上限";
    reason_device: "the device you chose", "您选择的设备";
    reason_offline: "that its machine is connected", "机器须已连接";
    reason_paused: "that its owner has not paused it", "机主未将其暂停";
    reason_closed: "its owner's hours", "机主的出租时段";
    reason_blocked: "that its machine can isolate jobs", "机器须能隔离任务";
    reason_free: "that it is free", "须为空闲";
    reason_refused: "that it did not refuse this job before", "未曾拒绝过此任务";
    need_cpus: "CPU cores", "CPU 核数";
    need_memory: "Memory", "内存";
    need_disk: "Disk", "磁盘";
    need_minutes: "At most", "最长时间";
    need_max_price: "Price limit", "价格上限";
    need_countries: "Countries", "国家";
    need_reputation: "Reputation from", "最低信誉";
    need_pids: "Processes", "进程数";
    need_restarts: "Restarts", "重启次数";
    quote: "Quote", "报价";
    quote_waiting: "The price appears as soon as the form is complete.", "表单填写完整后即显示价格。";
    quote_note: "Billed per delivered second. Fetching, starting and a machine's silence cost nothing.", "按实际交付的秒数计费。传输、启动以及机器失联均不收费。";
    quote_base: "Lowest ask for this model", "该型号最低报价";
    quote_constraints: "Added by what you ask", "您的条件带来的加价";
    quote_fee: "Fee ({} %)", "手续费（{} %）";
    quote_free: "free", "免费";
    quote_holds: "This price holds for {} s; then it is asked for again.", "此价格保留 {} 秒，之后自动重新报价。";
    quote_asking: "Asking for the price…", "正在询价…";
    quote_unreachable: "The server cannot be reached. What you typed stays; the price is asked for again each second.", "无法连接服务器。您填写的内容会保留，系统每秒重试询价。";
    quote_runway: "Your balance lasts {} at this rate.", "按此速率，余额可用 {}。";
    quote_no_cost: "Free of charge: nothing is taken from your balance.", "免费：不会从余额中扣款。";
    quote_egress: "Data in and out", "数据进出";
    quote_at_most: "At most", "最多花费";
    quote_hold: "Set aside first", "先行冻结";
    quote_available: "Your balance", "您的余额";
    quote_makes_room: "Nothing that matches is free. A spot job makes room for yours within {}; until then it waits and costs nothing.", "没有空闲的匹配设备。竞价作业会在 {} 内为您让出设备；在此之前作业等待，不计费。";
    quote_matching: "offers that match: {}", "匹配的设备：{}";

    // Comparing and saved searches
    compare: "Compare", "比较";
    compare_label: "Compare {} on {}", "比较 {}（{}）";
    compare_full: "3 at most", "最多 3 个";
    compare_one: "One chosen; choose another to compare", "已选一个，请再选一个进行比较";
    compare_show: "Compare {}", "比较 {} 个";
    compare_clear: "Clear", "清除";
    compare_title: "Side by side", "并排比较";
    compare_legend: "Lines with ≠ differ.", "标有 ≠ 的行存在差异。";
    compare_differs: "differs:", "不同：";
    compare_property: "Property", "属性";
    compare_cards: "Cards in the machine", "机器中的卡数";
    compare_up: "Upload", "上行";
    compare_down: "Download", "下行";
    compare_driver: "Driver", "驱动";
    compare_watts: "Power limit", "功率上限";
    compare_claims: "What it says is", "声明状态";
    searches_title: "Saved searches", "已保存的搜索";
    searches_lead: "Queries that are followed for you: an alert comes when a free offer begins to match.", "系统为您关注这些查询：有空闲报价开始符合时会提醒您。";
    searches_empty: "No search is saved", "还没有保存的搜索";
    searches_empty_text: "Write a query on the market and save it under a name.", "在市场中写好查询，然后以名称保存。";
    search_save: "Save this search", "保存此搜索";
    search_save_button: "Save", "保存";
    search_save_hint: "An alert comes when a free offer begins to match.", "有空闲报价开始符合时会提醒您。";
    search_saved: "Search saved", "搜索已保存";
    search_open: "Open ({} match)", "打开（{} 个符合）";
    search_unseen: "new alerts: {}", "新提醒：{}";
    search_seen: "Mark as seen", "标为已读";
    search_change: "Rename or delete", "重命名或删除";
    search_rename: "Rename", "重命名";
    search_delete: "Delete", "删除";
    search_deleted: "Search deleted", "搜索已删除";
    search_broad: "More than 500 offers match: no alerts until fewer do.", "符合的报价超过 500 个：减少之前不会提醒。";
    search_quiet: "No alert so far.", "暂无提醒。";
    search_alert: "{}: {} on {} for {}.", "{}：{} 开始符合（{}），{}。";
    alerts: "Alerts {}", "提醒 {}";

    // Jobs
    orders_title: "Waiting for an offer", "等待报价";
    order_asks: "Asks", "条件";
    order_why: "Why it waits", "等待原因";
    order_until: "Until", "等待至";
    order_next: "Its turn comes with the next round.", "下一轮即可匹配。";
    order_withdraw: "Withdraw", "撤回";
    order_withdrawn: "Order withdrawn", "订单已撤回";
    jobs_title: "Jobs", "任务";
    jobs_lead: "Newest first.", "最新的在最前。";
    jobs_empty: "No jobs yet", "还没有任务";
    jobs_empty_text: "Launch an example: it takes half a minute and shows everything.", "运行一个示例：只需半分钟，即可看到全部流程。";
    col_job: "Job", "任务";
    col_time: "Time", "时长";
    col_spent: "Spent", "已花费";
    col_created: "Created", "创建时间";
    job: "Job", "任务";
    job_matching: "Matching", "匹配中";
    job_starting: "Starting", "启动中";
    job_running: "Running", "运行中";
    job_finished: "Finished", "已完成";
    job_failed: "Failed", "失败";
    job_stopped: "Stopped", "已停止";
    job_steps: "Progress of the job", "任务进度";
    job_not_done: "not done", "未完成";
    job_restarts: "Restarts: {}", "重启次数：{}";
    job_again: "Its machine was lost. It waits for another and starts again; the silence is not billed.", "所在机器已失联。任务正在等待另一台机器并将重新开始，失联期间不收费。";
    job_tabs: "Views of the job", "任务视图";
    tab_metrics: "Metrics", "指标";
    tab_logs: "Logs", "日志";
    tab_cost: "Cost", "费用";
    tab_receipts: "Receipts", "收据";
    tab_files: "Files", "文件";
    stop: "Stop", "停止";
    stop_title: "Stop this job?", "停止此任务？";
    stop_text: "What runs is ended and what it wrote is kept; a job that still waits is withdrawn and has cost nothing. You pay for the seconds delivered so far; the rest comes back to your balance.", "正在运行的内容将结束，已写出的内容会保留；仍在等待的任务会撤回，未产生费用。您只需支付已交付的秒数，其余金额退回余额。";
    happened: "What happened", "经过";
    event_submitted: "Submitted", "已提交";
    event_leased: "Device leased", "已租得设备";
    event_fetching: "Fetching the inputs", "正在获取输入";
    event_isolating: "Making the sandbox", "正在创建沙箱";
    event_running: "Running", "开始运行";
    event_uploading: "Saving the files", "正在保存文件";
    event_funds_low: "Balance is running low", "余额即将用尽";
    event_stop: "Stop requested", "已请求停止";
    event_notice: "Taken back: it has until the end of its notice", "设备被收回：通知期内仍可运行";
    event_preempted: "Made room for a job that pays the full price", "已让位给支付全价的任务";
    event_making_room: "A spot job makes room for it", "竞价任务正在为其让位";
    event_node_lost: "Machine lost", "机器失联";
    event_rejected: "Machine declined", "机器拒绝";
    event_member_ended: "One of its machines is done", "其中一台机器已结束";
    event_ended: "Ended", "已结束";
    end_finished: "Finished. Nothing more is billed.", "已完成，不再计费。";
    end_exit: "The command ended with exit code {}.", "命令以退出码 {} 结束。";
    end_signal: "The command was ended by signal {}.", "命令被信号 {} 终止。";
    end_memory: "It used more than its {} MiB of memory and was ended. Ask for more memory.", "内存使用超过 {} MiB 而被终止。请申请更多内存。";
    end_disk: "It filled its {} MiB of disk. Ask for more disk or write less.", "磁盘 {} MiB 已写满。请申请更多磁盘或减少写入。";
    end_pids: "It started more than its {} processes.", "启动的进程超过 {} 个。";
    end_time: "It reached its time limit of {}.", "已达到 {} 的时间上限。";
    end_user: "Stopped by you.", "由您停止。";
    end_funds: "The balance ran out; it was stopped in time. Nothing is owed.", "余额用尽，已及时停止，没有欠款。";
    end_preempted: "Taken back for a job that pays the full price; it goes on elsewhere.", "设备已被支付全价的任务收回，本任务将在别处继续。";
    end_drained: "The owner's machine went into maintenance.", "机主的机器进入维护。";
    end_lost: "The machine was lost; its silence is not billed.", "机器失联，失联期间不收费。";
    end_start: "It could not start: {} Nothing was billed.", "无法启动：{} 未产生费用。";
    end_capacity: "No machine was found for it: {}", "没有找到合适的机器：{}";
    end_job_over: "Another of the job's machines ended it.", "作业的另一台机器结束了它。";
    job_on_nodes: "{} devices on {} machines", "{} 个设备，{} 台机器";
    job_on_devices: "{} devices on one machine", "一台机器上的 {} 个设备";
    job_member: "Machine {}", "机器 {}";
    job_member_shown: "Shown", "显示";
    end_restarts: "It was restarted {} times, as often as it may be.", "已重启 {} 次，达到上限。";
    metrics_none: "No figures yet. They appear a second after the process starts.", "还没有数据。进程启动一秒后即会出现。";
    metrics_never: "No figures were recorded: it ended before a first second was measured.", "没有记录到数据：任务在测得第一秒之前就已结束。";
    chart_cpu: "CPU (100 % is one core)", "CPU（100 % 为一个核）";
    chart_memory: "Memory", "内存";
    chart_gpu: "GPU", "GPU";
    chart_gpu_memory: "GPU memory", "显存";
    log_follow: "Follow", "跟随";
    log_dropped: "{} older lines are not shown", "未显示更早的 {} 行";
    log_json: "Whole log as JSON", "完整日志（JSON）";
    cost_spent: "Spent", "已花费";
    cost_rate: "Rate", "速率";
    cost_seconds: "Delivered", "已交付";
    cost_held: "Held", "已冻结";
    cost_limit_left: "Of its time limit left", "距时间上限";
    cost_note: "Only seconds that the machine delivered and we countersigned are charged. What is held and not used comes back.", "只对机器交付并经我们会签的秒数收费。冻结而未用的金额会退回。";
    leases_title: "Machines it ran on", "运行过的机器";
    leases_none: "No machine yet.", "还没有机器。";
    lease_ended: "Ended", "已结束";
    col_machine: "Machine", "机器";
    col_charged: "Charged", "收费";
    col_end: "How it ended", "结束原因";
    receipts_note: "Each receipt is signed by the machine and by the platform, and holds the hash of the one before: anyone can check the bill offline.", "每张收据由机器与平台双方签名，并包含上一张的哈希值：任何人都可以离线核对账单。";
    receipts_none: "No receipt yet. One is signed each minute and at the end.", "还没有收据。每分钟及结束时各签一张。";
    receipts_json: "All receipts as JSON", "全部收据（JSON）";
    receipt_last: "last", "最后一张";
    col_receipt: "Lease · number", "租约 · 编号";
    col_delivered: "Delivered", "已交付";
    col_posted: "Countersigned", "会签时间";
    col_hash: "Hash", "哈希";
    files_none: "It left no files. What a job writes to IOG_OUTPUT is kept.", "没有留下文件。写入 IOG_OUTPUT 的内容会被保留。";
    files_not_yet: "Files appear when the job ends. What it writes to IOG_OUTPUT is kept.", "任务结束后会出现文件。写入 IOG_OUTPUT 的内容会被保留。";
    col_file: "File", "文件";
    col_size: "Size", "大小";

    // Earning
    nodes_title: "Your machines", "您的机器";
    nodes_lead: "Connect a machine, set its price, and see why it earns or not.", "接入机器，设定价格，并了解它为什么有或没有收益。";
    tab_machines: "Machines", "机器";
    tab_earnings: "Earnings", "收益";
    nodes_empty: "No machine yet", "还没有机器";
    nodes_empty_text: "Make a join line above and run it on the machine. Jobs run in a sandbox without access to your files.", "在上方生成接入命令并在机器上运行。任务在沙箱中运行，无法访问您的文件。";
    join_title: "Connect a machine", "接入机器";
    join_button: "Make a join line", "生成接入命令";
    join_run: "Run this on the machine: it joins and takes jobs until you stop it. Later iog-worker run starts it again.", "在机器上运行这一行：它会接入并接受任务，直到您将其停止。以后用 iog-worker run 再次启动。";
    join_copy: "Copy the join line", "复制接入命令";
    join_once: "It works once and for one hour.", "仅可使用一次，一小时内有效。";
    join_made: "Join line made", "已生成接入命令";
    join_joined: "Machine joined your account", "机器已加入您的账户";
    join_online: "Worker connected", "客户端已连接";
    join_isolated: "Jobs can be isolated", "可以隔离任务";
    join_devices: "Devices on the market", "设备已上架";
    join_waiting: "Waiting for the machine", "正在等待机器";
    node_online: "Online", "在线";
    node_offline: "Offline", "离线";
    node_draining: "Draining", "正在排空";
    node_seen: "last seen {}", "最后在线 {}";
    node_load: "CPU {} % · memory {}", "CPU {} % · 内存 {}";
    node_reputation: "Reputation {} / 100", "信誉 {} / 100";
    node_no_isolation: "This machine cannot isolate jobs, so none are sent to it", "这台机器无法隔离任务，因此不会收到任务";
    node_more: "Details and removal", "详情与移除";
    node_remove: "Remove this machine", "移除这台机器";
    node_removed: "Machine removed", "机器已移除";
    node_remove_hint: "Possible while no job runs on it. To lend it again, join with a new state folder.", "没有任务运行时才可移除。要再次出借，请用新的状态目录（--state）重新接入。";
    fact_system: "System", "系统";
    fact_size: "Size", "规格";
    fact_version: "Worker", "客户端版本";
    fact_joined: "Joined", "加入时间";
    fact_key: "Public key", "公钥";
    price_label: "Your price", "您的价格";
    price_button: "Set price", "设定价格";
    price_set: "Price set. Running jobs keep theirs.", "价格已设定。运行中的任务保持原价。";
    rent_title: "Prices and hours", "价格与时段";
    rent_lead: "What this device costs, to whom, and when it is free.", "这台设备的价格、出租方式与开放时段。";
    rent_back: "To my machines", "返回我的机器";
    rent_edit: "Prices and hours", "价格与时段";
    rent_on_demand: "On demand", "按需";
    rent_price: "Price", "价格";
    rent_check: "What would it bring?", "预计收益如何？";
    rent_spot: "Spot", "竞价";
    rent_spot_text: "At most the on-demand price. A spot job makes room when somebody pays the full price. Empty: not offered.", "不高于按需价格。有人支付全价时，竞价任务会让出设备。留空则不提供。";
    rent_reserved: "For a term", "包期";
    rent_reserved_text: "A fixed price for jobs with a time limit of at least the term. Empty: not offered.", "时限不短于该租期的任务享受固定价格。留空则不提供。";
    rent_term: "Shortest term", "最短租期";
    rent_auto: "Follow the price index", "跟随价格指数";
    rent_auto_text: "The on-demand price moves with the index of the model, between your bounds. Empty: your price stays.", "按需价格随该型号的指数在您设定的上下限内变动。留空则保持您的价格。";
    rent_percent: "Share of the index", "指数的百分比";
    rent_floor: "Never below", "不低于";
    rent_ceiling: "Never above", "不高于";
    rent_hours: "Hours and lengths", "时段与时长";
    rent_hours_text: "A line a window, such as mon-fri 22:00-06:00. Only jobs that end within are taken. Empty: free at any time.", "每行一个时段，例如 mon-fri 22:00-06:00。只接受能在时段内结束的任务。留空则随时开放。";
    rent_windows: "Hours of the week", "每周时段";
    rent_offset: "Your clock, hours ahead of UTC", "您的时钟比 UTC 快的小时数";
    rent_shortest: "Shortest job", "最短任务";
    rent_longest: "Longest job", "最长任务";
    rent_save: "Save", "保存";
    rent_saved: "Saved. Running jobs keep their prices.", "已保存。运行中的任务保持原价。";
    rent_at: "At {}", "价格 {}";
    rent_stored: "Stored as", "存储为";
    rent_stored_value: "{} base units a second", "每秒 {} 个基本单位";
    rent_pays: "Requesters pay", "租用者支付";
    rent_rank_open: "Among free offers", "在空闲报价中";
    rent_rank_all: "Among all offers", "在全部报价中";
    rent_rank: "number {} of {}", "第 {} 位，共 {} 个";
    rent_fair: "Fair price", "公允价格";
    rent_above_fair: "{}; yours is {} above it ({} samples)", "{}；您的价格高出 {}（{} 个样本）";
    rent_below_fair: "{}; yours is {} below it ({} samples)", "{}；您的价格低 {}（{} 个样本）";
    rent_no_fair: "nothing is known yet", "尚无数据";
    rent_fill_label: "Hired, 7 days", "近 7 天出租率";
    rent_fill: "{} of the time, of devices that ask this price or less now and of this one (at whatever price then; leases: {}, device-hours: {})", "现价不高于此价的设备（含本设备）：{} 的时间已租出（不论当时价格，{} 次租用，{} 设备小时）";
    rent_no_fill: "not enough data (leases: {}, of devices that ask this price or less now and of this one)", "数据不足：现价不高于此价的设备（含本设备）共 {} 次租用";
    rent_income: "Expected a day", "预计每日";
    rent_income_value: "{} after the fee", "扣费后 {}";
    rent_free_again: "Free again {}", "{} 重新开放";
    rent_free_until: "Free until {}", "开放至 {}";
    rent_has_spot: "spot {}", "竞价 {}";
    rent_has_term: "term {}", "包期 {}";
    rent_has_auto: "follows {} % of the index", "跟随指数的 {} %";
    pause: "Pause", "暂停";
    resume: "Offer again", "重新上架";
    state_set: "Saved", "已保存";
    device_job: "Runs", "正在运行";
    device_earned: "Made so far: {}", "累计收入：{}";
    earn_checks: "Why it earns, or not", "为什么有或没有收益";
    rule_pass: "passed", "通过";
    rule_fail: "not passed", "未通过";
    rule_connected: "Connected", "已连接";
    fix_connected: "Start the worker on the machine: iog-worker run", "在机器上启动客户端：iog-worker run";
    rule_isolation: "Can isolate jobs", "可以隔离任务";
    fix_isolation: "The worker's log and the list above say what is missing.", "缺少什么，请看客户端日志和上方列表。";
    rule_paused: "Offered", "已上架";
    fix_paused: "You paused it. Offer it again.", "您已暂停，请重新上架。";
    rule_hours: "Within its hours", "处于开放时段";
    fix_hours: "Outside the hours that you set. It is offered again when they begin.", "不在您设定的时段内，时段开始后会重新上架。";
    rule_priced: "Has a price", "已定价";
    fix_priced: "Set a price per hour.", "请设定每小时价格。";
    rule_hired: "Hired", "已租出";
    fix_hired: "Nobody rents it at the moment. A lower price is hired sooner.", "目前无人租用。降低价格会更快被租出。";
    earnings_title: "Earnings", "收益";
    earnings_lead: "After the owner's fee, for seconds that were countersigned.", "已扣除机主手续费，按会签的秒数计算。";
    earnings_total: "Earned", "累计收益";
    earnings_today: "Today (UTC)", "今日（UTC）";
    earnings_rate: "Now", "当前速率";
    earnings_devices: "By device", "按设备";
    earnings_leases: "By lease", "按租约";
    earnings_no_leases: "Nothing was rented yet.", "还没有被租用。";
    earnings_empty: "Nothing earned yet", "还没有收益";
    earnings_empty_text: "Connect a machine and set a price; each delivered second is paid.", "接入机器并设定价格，每交付一秒都会获得报酬。";
    earnings_note: "A receipt is countersigned each minute; seconds since the last one follow with the next.", "每分钟会签一张收据，其后的秒数计入下一张。";
    col_earned: "Earned", "收益";
    col_begun: "Begun", "开始时间";

    // Billing
    billing_title: "Billing", "账单";
    billing_lead: "What you can spend, what is set aside, and every movement.", "可用金额、冻结金额以及每一笔变动。";
    billing_note: "Before a job starts, money for its next ten minutes is set aside. A job stops before its money would run out.", "任务启动前会冻结接下来十分钟的费用。金额用尽之前，任务会自动停止。";
    book_available: "Available", "可用";
    book_held: "Held for jobs", "任务冻结";
    book_earned: "Earned", "收益";
    book_withdrawable: "Withdrawable", "可提取";
    book_disputed: "In dispute", "争议中";
    book_other: "Someone else", "对方";
    demo_title: "Demo credit", "演示额度";
    demo_text: "This server gives {} once, to try things out. It is not real money.", "本服务器一次性赠送 {} 供试用，并非真实资金。";
    demo_take: "Take it", "领取";
    demo_taken: "Demo credit booked", "演示额度已到账";
    entries_title: "Movements", "变动明细";
    entries_empty: "No movements yet", "还没有变动";
    entries_empty_text: "The first job sets some balance aside and pays from it by the second.", "第一个任务会冻结部分余额，并按秒从中支付。";
    entry_demo: "Demo credit", "演示额度";
    entry_hold: "Set aside", "冻结";
    entry_release: "Came back", "退回";
    entry_charge: "Paid", "支付";
    entry_fee: "Fee", "手续费";
    entry_deposit: "Deposit", "充值";
    entry_matured: "Became withdrawable", "变为可提取";
    entry_converted: "Made spendable", "转为可用余额";
    entry_disputed: "Set aside for a dispute", "因争议暂扣";
    entry_upheld: "Dispute decided for you", "争议裁定归你";
    entry_refund: "Refund", "退款";
    entry_payout: "Payout", "提现";
    entry_paid_out: "Paid out", "已提现";
    entry_returned: "Returned", "已退回";
    entry_treasury: "Treasury", "金库";
    col_entry: "What", "类型";
    col_amount: "Amount", "金额";
    col_from: "From", "来自";
    col_to: "To", "去向";
    col_when: "When", "时间";

    // Matching rounds
    rounds_title: "Matching rounds", "撮合轮次";
    rounds_lead: "Each time the market was asked to place a job: what was asked, of which offers, and who won. Anyone can ask again and find the same.", "市场每次为任务寻找设备的记录：请求内容、当时的报价与胜出者。任何人都可以重放并得到相同结果。";
    rounds_empty: "No rounds yet", "暂无轮次";
    rounds_empty_text: "The first one is written when the first job is submitted.", "提交第一个任务时产生第一轮。";
    rounds_root: "Latest root of the book", "最新的报价簿根哈希";
    col_round: "Round", "轮次";
    round_title: "A matching round", "撮合轮次详情";
    round_lead: "Its inputs, the root of the book, and the winners. It does not tell who asked.", "输入、报价簿根哈希与胜出者。不公开请求者身份。";
    round_all: "All rounds", "所有轮次";
    round_none: "There is no such round.", "没有此轮次。";
    round_number: "Round {}", "第 {} 轮";
    round_kind: "Kind", "方式";
    round_pinned: "only device {}", "仅限设备 {}";
    round_pays: "Winner pays, with fee", "胜出价（含手续费）";
    round_owner_price: "Owner's price, before the fee", "机主价格（未含手续费）";
    round_with_fee: "With the fee", "含手续费";
    round_fee_note: "Prices are an hour's, with today's fee of {} %. The record and its hashes hold the owners' prices, before the fee.", "价格为每小时价格，含当前手续费 {} %。记录及其哈希中保存的是未含手续费的机主价格。";
    round_asked: "Asked", "请求";
    round_winner: "Winner", "胜出者";
    round_nobody: "nobody", "无";
    round_nobody_text: "Nothing matched: nobody won.", "没有匹配的报价，无人胜出。";
    round_devices: "{} devices", "{} 台设备";
    round_occasion: "Why", "缘由";
    round_submitted: "A job was submitted", "提交了任务";
    round_waiting: "A job waited in the market", "任务在市场中等待";
    round_restarted: "A job lost its machine", "任务失去了机器";
    round_book: "Book", "报价簿";
    round_book_of: "{} offers: snapshot {} and {} changes", "{} 个报价：快照 {} 加 {} 次变更";
    round_root: "Root of the book", "报价簿根哈希";
    round_hash: "Hash of the round", "本轮哈希";
    round_previous: "Hash of the round before", "上一轮哈希";
    round_snapshot: "Root of the snapshot", "快照根哈希";
    round_replay: "Replay", "重放";
    round_replay_text: "The server puts the book together again from what is stored, computes its root and asks it the same.", "服务器用存储的数据重建报价簿，计算根哈希，并再次执行相同的请求。";
    round_replay_now: "Replay it now", "立即重放";
    round_yourself: "Trust nobody: this downloads the same data and checks it on your machine.", "无需信任任何人：以下命令下载相同数据并在您的机器上核对。";
    round_copy: "Copy the command", "复制命令";
    round_same: "same", "一致";
    round_different: "different", "不一致";
    round_all_same: "Everything was found as it is stated.", "全部与公布的一致。";
    round_not_same: "Something was found that is not as stated.", "发现与公布的不一致。";
    round_field: "Field", "字段";
    round_condition: "Condition", "条件";
    round_device: "Device", "设备";
    round_rule: "Cheapest first; of equal price the better reputation, then who joined earlier, then the smaller id. No dice.", "价低者优先；同价看信誉，再看加入时间，最后看较小的编号。没有随机。";
    job_rounds: "Matching rounds", "撮合轮次";

    // Why a device was not hired
    missed_title: "Why not hired", "为何未被租用";
    missed_lead: "The matching rounds of the last 24 hours, and what stood between them and this device.", "过去 24 小时的撮合轮次，以及该设备未被选中的原因。";
    missed_which: "Device", "设备";
    missed_rounds: "Requests", "请求数";
    missed_fitted: "Fitted", "符合条件";
    missed_won: "Won", "胜出";
    missed_bound: "The newest {} requests are looked at.", "仅统计最近 {} 个请求。";
    missed_none: "It missed nothing in the last 24 hours.", "过去 24 小时没有错过任何请求。";
    missed_reason: "Reason", "原因";
    missed_times: "Times", "次数";
    missed_alone: "Only this", "仅因此";
    missed_last: "Last times", "最近几次";
    missed_compared: "asked: {} · it had: {}", "要求：{} · 实际：{}";
    missed_wins: "Asking {} before the fee, it would have won", "若报价为 {}（未含手续费）则会胜出";
    missed_field: "Condition on {}", "条件不符：{}";
    missed_price: "Another was cheaper", "有更便宜的报价";
    missed_reputation: "Same price, better reputation", "同价但对方信誉更高";
    missed_joined: "Same price and reputation, joined earlier", "同价同信誉，对方加入更早";
    missed_id: "A tie, decided by the smaller id", "完全相同，按编号较小者决定";
    missed_place: "Several devices were asked for, and another place was better", "请求多台设备，其他位置更优";
    missed_hired: "It was hired", "当时已被租用";
    missed_paused: "It was paused", "当时已暂停";
    missed_offline: "It was offline", "当时离线";
    missed_blocked: "Its machine could not isolate jobs", "所在机器无法隔离任务";
    missed_closed: "Outside its hours", "不在出租时段";
    missed_kind: "It is not offered that way (spot, reserved)", "未提供该租用方式（竞价、预留）";
    missed_unlisted: "It was not in the market yet", "当时尚未上架";
    missed_refused: "Its machine had refused this job", "所在机器曾拒绝此任务";
    missed_another: "A certain other device was asked for", "指定了其他设备";
}

/// Sentences of the server that people meet in forms, with their Chinese; see `fault.rs`.
pub const SENTENCES: &[(&str, &str)] = &[
    ("Some fields need a change.", "有些字段需要修改。"),
    ("E-mail or password is not right.", "邮箱或密码不正确。"),
    (
        "This idempotency key was used before with another request; use a new key for a new request.",
        "此表单已提交过，请刷新页面后再试。",
    ),
    (
        "Something failed on our side. Please look whether it was done, then try again.",
        "我们这边出了问题。请先查看操作是否已完成，再重试。",
    ),
    (
        "an e-mail address like you@example.org",
        "邮箱地址，例如 you@example.org",
    ),
    (
        "8 to 200 characters; a few words you remember are good",
        "8 到 200 个字符；几个您记得住的词就很好",
    ),
    ("1 to 80 characters on one line", "单行，1 到 80 个字符"),
    ("Please sign in.", "请先登录。"),
    ("There is no such job.", "没有这个任务。"),
    ("The server could not be reached.", "无法连接服务器。"),
    (
        "The server's answer could not be read.",
        "无法读取服务器的回答。",
    ),
    ("give the job a name", "给任务起个名字"),
    ("at most 80 characters on one line", "单行，最多 80 个字符"),
    (
        "name the program to run, for example [\"python3\", \"train.py\"]",
        "请写出要运行的程序，例如 python3 train.py",
    ),
    ("a quote is not closed", "引号没有闭合"),
    ("one NAME=value a line", "每行一个 NAME=value"),
    (
        "a variable's name has letters, digits and _ only",
        "变量名只能包含字母、数字和 _",
    ),
    (
        "give the file a name, for example train.py",
        "给文件起个名字，例如 train.py",
    ),
    (
        "a relative path inside the working directory, at most 255 bytes",
        "工作目录内的相对路径，最多 255 字节",
    ),
    ("a whole number", "请填写整数"),
    ("a whole number from 1 to 512", "1 到 512 之间的整数"),
    (
        "a whole number from 16 to 4194304",
        "16 到 4194304 之间的整数",
    ),
    (
        "a whole number from 1 to 16777216",
        "1 到 16777216 之间的整数",
    ),
    ("a whole number from 1 to 32768", "1 到 32768 之间的整数"),
    (
        "a whole number from 1 to 2592000",
        "最长 30 天（43200 分钟）",
    ),
    ("a whole number from 0 to 100", "0 到 100 之间的整数"),
    (
        "letters, digits and _ - . / only, at most 40",
        "只能包含字母、数字和 _ - . /，最多 40 个",
    ),
    ("two capital letters, such as CH", "两个大写字母，例如 CH"),
    (
        "must be above zero, or leave it out for any price",
        "必须大于零；留空表示不限价格",
    ),
    (
        "the amount is not a number; write it like 12.5, with a point and at most 8 decimals",
        "金额不是数字，请写成 12.5 的形式，最多 8 位小数",
    ),
    (
        "IO has 8 decimals; this amount has more, and nothing is rounded silently",
        "IO 有 8 位小数，此金额超出，我们不会擅自取整",
    ),
    ("an amount cannot be below zero", "金额不能小于零"),
    (
        "choose at least one thing that the key may do",
        "请至少选择一项权限",
    ),
];
