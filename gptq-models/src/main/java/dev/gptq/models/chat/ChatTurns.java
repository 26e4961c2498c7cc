package dev.gptq.models.chat;

import com.google.common.primitives.ImmutableIntArray;
import java.util.Collection;
import java.util.Optional;
import java.util.function.Function;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;

/**
 * What a chat template puts around the turns of a conversation, as tokens: with them a model can
 * write both sides of one.
 *
 * @param opening what stands before the first question
 * @param toAnswer from the end of a question, which its first token tells, to an answer
 * @param toQuestion from the end of an answer, which its first token tells, to the next question
 */
public record ChatTurns(
    ImmutableIntArray opening, ImmutableIntArray toAnswer, ImmutableIntArray toQuestion) {
  // Words that no template changes or has of its own.
  private static final String FIRST = "QxFirstxQ";
  private static final String SECOND = "QxSecondxQ";
  private static final String THIRD = "QxThirdxQ";

  /**
   * Those of a template; empty if it changes what is said, or if its turns do not end with tokens
   * that end a text, so that one could not tell.
   *
   * @param encode the tokens of a text
   * @param ends the tokens that end a text
   * @throws dev.gptq.formats.BadInputException if the template refuses a question, an answer and a
   *     question
   */
  public static Optional<ChatTurns> of(
      ChatTemplate template, Function<String, int[]> encode, Collection<Integer> ends) {
    ArrayNode messages = JsonMapper.shared().createArrayNode();
    messages.addObject().put("role", "user").put("content", FIRST);
    messages.addObject().put("role", "assistant").put("content", SECOND);
    messages.addObject().put("role", "user").put("content", THIRD);
    String text = template.render(messages, false);
    int first = text.indexOf(FIRST);
    int second = text.indexOf(SECOND, first + 1);
    int third = text.indexOf(THIRD, second + 1);
    if (first < 0 || second < 0 || third < 0) {
      return Optional.empty();
    }
    ChatTurns turns =
        new ChatTurns(
            tokens(encode, text.substring(0, first)),
            tokens(encode, text.substring(first + FIRST.length(), second)),
            tokens(encode, text.substring(second + SECOND.length(), third)));
    return turns.opening.isEmpty() || !turns.isTold(ends) ? Optional.empty() : Optional.of(turns);
  }

  private static ImmutableIntArray tokens(Function<String, int[]> encode, String text) {
    return ImmutableIntArray.copyOf(encode.apply(text));
  }

  private boolean isTold(Collection<Integer> ends) {
    return !toAnswer.isEmpty()
        && !toQuestion.isEmpty()
        && ends.contains(toAnswer.get(0))
        && ends.contains(toQuestion.get(0));
  }
}
