package dev.gptq.models.tasks;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import tools.jackson.databind.JsonNode;

/**
 * A row of a data set.
 *
 * @param place where it is, for messages
 * @param values its columns
 */
record Row(String place, JsonNode values) {

  /** The column in which something is: what stands before the first dot. */
  static String column(String path) {
    int dot = path.indexOf('.');
    return dot < 0 ? path : path.substring(0, dot);
  }

  /** A field as text. */
  String text(String path) {
    JsonNode value = at(path);
    if (!value.isString() && !value.isNumber()) {
      throw wrong(path, "is neither a text nor a number");
    }
    return value.asString();
  }

  /** A list of texts. */
  ImmutableList<String> texts(String path) {
    JsonNode list = at(path);
    if (!list.isArray() || list.isEmpty()) {
      throw wrong(path, "is no list of texts");
    }
    ImmutableList.Builder<String> texts = ImmutableList.builder();
    for (int i = 0; i < list.size(); i++) {
      texts.add(text(path + "." + i));
    }
    return texts.build();
  }

  /** A whole number, which may be written as text. */
  int number(String path) {
    String text = text(path);
    try {
      return Integer.parseInt(text);
    } catch (NumberFormatException e) {
      throw new BadInputException("%s: '%s' is no number but '%s'".formatted(place, path, text), e);
    }
  }

  private JsonNode at(String path) {
    JsonNode value = values;
    for (String step : path.split("\\.", -1)) {
      value = value.isArray() ? value.path(Integer.parseInt(step)) : value.path(step);
    }
    if (value.isMissingNode() || value.isNull()) {
      throw wrong(path, "is missing");
    }
    return value;
  }

  BadInputException wrong(String path, String what) {
    return new BadInputException(
        "%s: '%s' %s; is this the data set that the task is defined for?"
            .formatted(place, path, what));
  }
}
