/* SPDX-License-Identifier: Apache-2.0 */
/* One grey picture, in C++: one_part SOCKET WIDTH HEIGHT. Its status is 0 where the part passes, else 1. */
#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "proctor.hpp"

int main(int count, char **words)
{
    using namespace std::chrono_literals;
    if (count != 4) {
        std::cerr << "one_part SOCKET WIDTH HEIGHT\n";
        return 2;
    }
    try {
        proctor::Trigger trigger{};
        trigger.width = static_cast<std::uint32_t>(std::strtoul(words[2], nullptr, 10));
        trigger.height = static_cast<std::uint32_t>(std::strtoul(words[3], nullptr, 10));
        trigger.pixel_format = PROCTOR_PIXEL_FORMAT_MONO8;
        trigger.part_id = 17;

        const std::size_t bytes = std::size_t{trigger.width} * trigger.height;
        proctor::Line line(words[1], 1, bytes, 2000ms);
        std::fill_n(line.slot(0), bytes, static_cast<unsigned char>(128));

        const proctor::Answer answer = line.trigger(trigger, 1000ms);
        if (!answer.accepted) {
            std::cout << "REFUSED " << proctor_cause_name(answer.cause) << ": " << answer.reason << '\n';
            return 1;
        }
        const auto result = line.result(10000ms);
        if (!result) {
            std::cout << "no result\n";
            return 1;
        }
        std::cout << proctor_code_name(result->code) << ' ' << result->score << ": " << result->reason << '\n';
        return proctor::passes(*result) ? 0 : 1;
    } catch (const proctor::Error &error) {
        std::cerr << error.what() << " (" << error.code() << ")\n";
        return 1;
    }
}
