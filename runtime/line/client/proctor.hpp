/* SPDX-License-Identifier: Apache-2.0 */
/* The C library for C++17: a line that closes itself, errors as exceptions. See proctor.h for what is promised. */
#ifndef PROCTOR_HPP
#define PROCTOR_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include "proctor.h"

namespace proctor {

using Answer = proctor_answer;
using Result = proctor_result;
using Status = proctor_status;
using Trigger = proctor_trigger;
using Milliseconds = std::chrono::milliseconds;

/* A line that is broken, or a value that is none: see enum proctor_error. */
class Error : public std::runtime_error {
public:
    Error(int code, const std::string &reason) : std::runtime_error(reason), code_(code) {}
    int code() const noexcept { return code_; }

private:
    int code_;
};

inline bool passes(const Result &result) noexcept { return proctor_passes(&result) == 1; }

/* A connection. It can be moved, not copied; one that was moved from throws. For one thread at a time. */
class Line {
public:
    Line(const std::string &path, std::uint32_t slots, std::size_t slot_bytes, Milliseconds timeout)
    {
        char reason[PROCTOR_REASON];
        proctor_line *opened = nullptr;
        const int error = proctor_open(&opened, path.c_str(), slots, slot_bytes, ms(timeout), reason);
        line_.reset(opened);
        if (error != PROCTOR_DONE)
            throw Error(error, reason);
    }

    /* Where a picture is to be written. */
    unsigned char *slot(std::uint32_t number)
    {
        unsigned char *found = proctor_slot(line_.get(), number);
        if (found == nullptr)
            throw Error(PROCTOR_ARGUMENT, "there is no slot " + std::to_string(number));
        return found;
    }

    Answer trigger(const Trigger &trigger, Milliseconds timeout)
    {
        Answer answer;
        check(proctor_send_trigger(line_.get(), &trigger, &answer, ms(timeout)));
        return answer;
    }

    /* The oldest result, or none in time. */
    std::optional<Result> result(Milliseconds timeout)
    {
        Result result;
        const int error = proctor_next_result(line_.get(), &result, ms(timeout));
        if (error == PROCTOR_TIMEOUT)
            return std::nullopt;
        check(error);
        return result;
    }

    Status status(Milliseconds timeout)
    {
        Status status;
        check(proctor_read_status(line_.get(), &status, ms(timeout)));
        return status;
    }

    std::uint32_t session() const noexcept { return proctor_session(line_.get()); }
    std::chrono::nanoseconds deadline() const noexcept
    {
        return std::chrono::nanoseconds(proctor_deadline_ns(line_.get()));
    }
    int descriptor() const noexcept { return proctor_descriptor(line_.get()); }

private:
    struct Close {
        void operator()(proctor_line *line) const noexcept { proctor_close(line); }
    };

    static int ms(Milliseconds timeout)
    {
        return timeout.count() > INT32_MAX ? INT32_MAX : timeout.count() < 0 ? -1 : static_cast<int>(timeout.count());
    }

    void check(int error) const
    {
        if (error != PROCTOR_DONE)
            throw Error(error, proctor_reason(line_.get()));
    }

    std::unique_ptr<proctor_line, Close> line_;
};

} // namespace proctor

#endif
