package dev.gptq.models.tasks;

import com.google.common.collect.ImmutableList;
import com.google.common.collect.ImmutableMap;
import java.util.List;
import java.util.Locale;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.IntStream;

/**
 * How an answer is found in what a model wrote, and compared with the reference.
 *
 * @param until what ends the model's answer
 * @param tokens the most that it may have
 * @param ways by the name of the metric, where the answer is
 * @param ignored what does not count when answers are compared; nor does the case of letters
 */
record Extraction(
    ImmutableList<String> until,
    int tokens,
    ImmutableMap<String, Way> ways,
    ImmutableList<Pattern> ignored) {
  /** What is compared where nothing was found: no answer. */
  private static final String NOTHING = "[invalid]";

  /**
   * One way to find an answer.
   *
   * @param pattern what is looked for; the first group that took part counts
   * @param last whether the last match counts and not the first
   */
  record Way(Pattern pattern, boolean last) {
    String find(String text) {
      List<MatchResult> matches = pattern.matcher(text).results().toList();
      if (matches.isEmpty()) {
        return NOTHING;
      }
      MatchResult match = last ? matches.getLast() : matches.getFirst();
      return IntStream.rangeClosed(1, match.groupCount())
          .mapToObj(match::group)
          .filter(group -> group != null && !group.isEmpty())
          .findFirst()
          .orElse(NOTHING)
          .strip();
    }
  }

  /** What a model wrote, up to where it should have ended. */
  String answer(String written) {
    String answer = written;
    for (String end : until) {
      int at = answer.indexOf(end);
      answer = at < 0 ? answer : answer.substring(0, at);
    }
    return answer;
  }

  /** Whether something ends the answer already. */
  boolean ended(String written) {
    return until.stream().anyMatch(written::contains);
  }

  /** Whether an answer is the reference. */
  boolean same(String answer, String reference) {
    return comparable(answer).equals(comparable(reference));
  }

  private String comparable(String text) {
    String rest = text;
    for (Pattern pattern : ignored) {
      rest = pattern.matcher(rest).replaceAll("");
    }
    return rest.toLowerCase(Locale.ROOT);
  }
}
