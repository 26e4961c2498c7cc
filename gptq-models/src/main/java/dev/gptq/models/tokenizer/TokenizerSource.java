package dev.gptq.models.tokenizer;

import com.google.common.collect.ImmutableMap;
import dev.gptq.formats.json.JsonConfig;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * What describes the tokenizer of a checkpoint: {@code tokenizer.json}, or where there is none,
 * what {@code tekken.json} or SentencePiece's {@code tokenizer.model} would be as one.
 */
public final class TokenizerSource {
  private static final String TEKKEN = "tekken.json";
  private static final String SENTENCE_PIECE = "tokenizer.model";

  private final Path file;
  private final Optional<byte[]> converted;
  private Vocabulary vocabulary;

  private TokenizerSource(Path file, Optional<byte[]> converted) {
    this.file = file;
    this.converted = converted;
  }

  private static TokenizerSource of(Path file, ObjectNode json) {
    return new TokenizerSource(file, Optional.of(JsonMapper.shared().writeValueAsBytes(json)));
  }

  /** That of a folder; empty if there is none of the three. */
  public static Optional<TokenizerSource> find(Path folder) throws IOException {
    Path json = folder.resolve(Vocabulary.FILE);
    Path tekken = folder.resolve(TEKKEN);
    Path pieces = folder.resolve(SENTENCE_PIECE);
    if (Files.isRegularFile(json)) {
      return Optional.of(new TokenizerSource(json, Optional.empty()));
    }
    if (Files.isRegularFile(tekken)) {
      return Optional.of(of(tekken, Tekken.read(tekken)));
    }
    if (Files.isRegularFile(pieces)) {
      return Optional.of(of(pieces, SentencePieceJson.read(pieces)));
    }
    return Optional.empty();
  }

  /** The file that was found. */
  public Path file() {
    return file;
  }

  /** What its {@code tokenizer.json} says. */
  public JsonConfig json() throws IOException {
    return converted.isPresent()
        ? JsonConfig.of(file, (ObjectNode) JsonMapper.shared().readTree(converted.get()))
        : JsonConfig.read(file);
  }

  /**
   * The ids that it knows; a vocabulary has megabytes, so it is read once.
   *
   * @throws dev.gptq.formats.BadInputException as {@link Vocabulary#read} says
   */
  public synchronized Vocabulary vocabulary() throws IOException {
    if (vocabulary == null) {
      vocabulary = Vocabulary.read(this);
    }
    return vocabulary;
  }

  /** Whether it had to be made. */
  boolean isConverted() {
    return converted.isPresent();
  }

  /** The bytes of its {@code tokenizer.json}. */
  InputStream open() throws IOException {
    return converted.isPresent()
        ? new ByteArrayInputStream(converted.get())
        : Files.newInputStream(file);
  }

  /** What begins and ends texts where no {@code tokenizer_config.json} names it. */
  static ImmutableMap<String, String> ends(Path folder) throws IOException {
    Path pieces = folder.resolve(SENTENCE_PIECE);
    if (Files.isRegularFile(folder.resolve(Vocabulary.FILE))) {
      return ImmutableMap.of();
    }
    if (Files.isRegularFile(folder.resolve(TEKKEN))) {
      return ends(Optional.of(Tekken.BEGIN), Optional.of(Tekken.END));
    }
    if (Files.isRegularFile(pieces)) {
      SentencePieceModel model = SentencePieceModel.read(pieces);
      return ends(model.begin(), model.end());
    }
    return ImmutableMap.of();
  }

  private static ImmutableMap<String, String> ends(
      Optional<TokenizerParts.Token> begin, Optional<TokenizerParts.Token> end) {
    ImmutableMap.Builder<String, String> ends = ImmutableMap.builder();
    begin.ifPresent(token -> ends.put("bos_token", token.text()));
    end.ifPresent(token -> ends.put("eos_token", token.text()));
    return ends.buildOrThrow();
  }
}
