package dev.gptq.formats.gguf;

import com.google.common.collect.ImmutableList;
import java.util.Optional;

/**
 * A list in the metadata of a file: left in the mapped file until its elements are asked for, for
 * vocabularies have hundreds of thousands.
 *
 * @param type the number of the type of its elements
 * @param count how many there are
 * @param bytes where they begin; each is known to lie within the file
 */
record GgufArray(int type, int count, GgufCursor bytes) {
  /** Its elements if they are texts. */
  Optional<ImmutableList<String>> texts() {
    if (type != GgufMetadata.STRING) {
      return Optional.empty();
    }
    GgufCursor cursor = bytes.copy();
    ImmutableList.Builder<String> texts = ImmutableList.builderWithExpectedSize(count);
    for (int i = 0; i < count; i++) {
      texts.add(cursor.text("a list"));
    }
    return Optional.of(texts.build());
  }

  /** Its elements if they are numbers. */
  Optional<ImmutableList<Number>> numbers() {
    GgufCursor cursor = bytes.copy();
    ImmutableList.Builder<Number> numbers = ImmutableList.builderWithExpectedSize(count);
    for (int i = 0; i < count; i++) {
      if (!(cursor.scalar(type, "a list") instanceof Number number)) {
        return Optional.empty();
      }
      numbers.add(number);
    }
    return Optional.of(numbers.build());
  }

  /** Its elements if they are truth values. */
  Optional<ImmutableList<Boolean>> truths() {
    GgufCursor cursor = bytes.copy();
    ImmutableList.Builder<Boolean> truths = ImmutableList.builderWithExpectedSize(count);
    for (int i = 0; i < count; i++) {
      if (!(cursor.scalar(type, "a list") instanceof Boolean truth)) {
        return Optional.empty();
      }
      truths.add(truth);
    }
    return Optional.of(truths.build());
  }

  @Override
  public String toString() {
    return "a list of " + count;
  }
}
