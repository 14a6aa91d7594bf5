-- Drives a server with wrk: a POST for each line of a file, round and round, and one line of JSON at the end.
--
--   BODIES=bodies.txt wrk -t1 -c16 -d10s -s exchange.lua http://127.0.0.1:8080/token
--
-- BODIES         request bodies, one a line; without it every request has none
-- THREADS        wrk's -t, when it is not 1: each thread then takes its own share of BODIES
-- METHOD         default POST, or GET without BODIES
-- CONTENT_TYPE   default application/x-www-form-urlencoded
-- AUTHORIZATION  a value for that header
-- CONNECTION     a value for that header: with `close` every request has a connection of its own
-- RATE           requests a second over all threads (a whole millisecond is the finest step); without it, as fast as answers come
-- STATUSES=1     also counts answers by status, which costs the generator time
--
-- To the latencies wrk adds those that a steady client would have seen during a stall: an answer that took longer than the mean
-- time between two requests of a connection counts several times.

local ffi = require("ffi")
ffi.cdef("struct timespec { long s; long ns; }; int clock_gettime(int, struct timespec *);")
local MONOTONIC = 1
local timespec = ffi.new("struct timespec")

local function now_ms()
    ffi.C.clock_gettime(MONOTONIC, timespec)
    return tonumber(timespec.s) * 1e3 + tonumber(timespec.ns) / 1e6
end

local threads = {}

function setup(thread)
    thread:set("thread_index", #threads)
    threads[#threads + 1] = thread
end

local thread_count = tonumber(os.getenv("THREADS") or 1)
local requests = {}
local last = 0

function init()
    local bodies = os.getenv("BODIES")
    local method = os.getenv("METHOD") or (bodies and "POST" or "GET")
    local headers = wrk.headers
    headers["Authorization"] = os.getenv("AUTHORIZATION")
    headers["Connection"] = os.getenv("CONNECTION")
    if not bodies then
        requests[1] = wrk.format(method, nil, headers)
        return
    end
    headers["Content-Type"] = os.getenv("CONTENT_TYPE") or "application/x-www-form-urlencoded"
    -- Whole requests are made here, so that sending one costs a look-up.
    local line_number = 0
    for body in io.lines(bodies) do
        if line_number % thread_count == thread_index then
            requests[#requests + 1] = wrk.format(method, nil, headers, body)
        end
        line_number = line_number + 1
    end
    assert(#requests > 0, "BODIES has fewer lines than there are threads")
    if thread_index == 0 then
        -- wrk asks the first thread for a request that it does not send, to learn its shape.
        last = #requests - 1
    end
end

function request()
    last = last % #requests + 1
    return requests[last]
end

-- Beats of the whole thread, which do not wait for answers: with enough connections the load is open, and a server that falls
-- behind gets what it missed at once.
local rate = tonumber(os.getenv("RATE"))
if rate then
    local beat = 1e3 * thread_count / rate
    local next_beat
    late, latest_ms = 0, 0

    function delay()
        local now = now_ms()
        local wait = (next_beat or now) - now
        next_beat = (next_beat or now) + beat
        if wait < -1 then
            late = late + 1
            latest_ms = math.max(latest_ms, -wait)
        end
        return math.max(0, math.floor(wait))
    end
end

if os.getenv("STATUSES") then
    statuses = {}

    function response(status)
        statuses[status] = (statuses[status] or 0) + 1
    end
end

function done(summary, latency)
    local errors = summary.errors
    local fields = {
        ("\"requests\":%d"):format(summary.requests),
        ("\"duration_us\":%d"):format(summary.duration),
        ("\"requests_per_s\":%.1f"):format(summary.requests / summary.duration * 1e6),
        -- wrk counts a status of 400 or more as an error.
        ("\"errors\":{\"status\":%d,\"connect\":%d,\"read\":%d,\"write\":%d,\"timeout\":%d}"):format(
            errors.status, errors.connect, errors.read, errors.write, errors.timeout),
        ("\"latency_us\":{\"p50\":%d,\"p90\":%d,\"p99\":%d,\"p999\":%d,\"max\":%d}"):format(
            latency:percentile(50), latency:percentile(90), latency:percentile(99), latency:percentile(99.9), latency.max),
    }
    if rate then
        local late_all, latest_all = 0, 0
        for _, thread in ipairs(threads) do
            late_all = late_all + thread:get("late")
            latest_all = math.max(latest_all, thread:get("latest_ms"))
        end
        -- Requests that found no free connection at their beat, by more than a millisecond.
        fields[#fields + 1] = ("\"late\":%d,\"latest_us\":%d"):format(late_all, latest_all * 1e3)
    end
    if statuses then
        local counts = {}
        for _, thread in ipairs(threads) do
            for status, count in pairs(thread:get("statuses")) do
                counts[status] = (counts[status] or 0) + count
            end
        end
        local pairs_of = {}
        for status, count in pairs(counts) do
            pairs_of[#pairs_of + 1] = ("\"%d\":%d"):format(status, count)
        end
        table.sort(pairs_of)
        fields[#fields + 1] = "\"statuses\":{" .. table.concat(pairs_of, ",") .. "}"
    end
    print("{" .. table.concat(fields, ",") .. "}")
end
