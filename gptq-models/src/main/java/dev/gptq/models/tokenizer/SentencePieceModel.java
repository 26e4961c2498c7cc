package dev.gptq.models.tokenizer;

import com.google.common.collect.ImmutableList;
import dev.gptq.formats.BadInputException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;
import java.util.Optional;

/**
 * What a file of SentencePiece says, a {@code ModelProto}, as far as it decides how a text is
 * encoded.
 *
 * @param file the file, usually {@code tokenizer.model}
 * @param pieces by their ids
 * @param unigram whether the likeliest pieces are taken; otherwise pairs are merged by their scores
 * @param byteFallback whether characters without a piece become bytes
 * @param unknown the id for what has no piece
 * @param begin the token that a text begins with
 * @param end the token that a text ends with
 * @param charsmap which characters are replaced before anything else, compiled, in base 64; empty
 *     for none
 * @param prefixed whether a text gets a space before it
 * @param trimmed whether spaces at both ends and all but one of several are removed
 */
record SentencePieceModel(
    Path file,
    ImmutableList<Piece> pieces,
    boolean unigram,
    boolean byteFallback,
    int unknown,
    Optional<TokenizerParts.Token> begin,
    Optional<TokenizerParts.Token> end,
    String charsmap,
    boolean prefixed,
    boolean trimmed) {
  private static final int UNIGRAM = 1;
  private static final int BPE = 2;

  /** What a piece is for. */
  enum Kind {
    NORMAL,
    UNKNOWN,
    CONTROL,
    USER_DEFINED,
    BYTE,
    UNUSED
  }

  /**
   * One piece.
   *
   * @param text with {@link TokenizerParts#SPACE} for spaces
   * @param score the higher the sooner, or the likelier
   */
  record Piece(String text, float score, Kind kind) {}

  /** Reads a file; throws {@link BadInputException} if it is none, or of a kind that is unknown. */
  static SentencePieceModel read(Path file) throws IOException {
    byte[] bytes = Files.readAllBytes(file);
    ImmutableList.Builder<Piece> pieces = ImmutableList.builder();
    Settings settings = new Settings();
    ProtoReader reader = new ProtoReader(file, bytes);
    while (reader.next()) {
      switch (reader.field()) {
        case 1 -> pieces.add(piece(file, reader.message()));
        case 2 -> settings.train(reader.message());
        case 3 -> settings.normalize(reader.message());
        default -> reader.skip();
      }
    }
    return settings.model(file, pieces.build());
  }

  private static Piece piece(Path file, ProtoReader reader) {
    String text = "";
    float score = 0;
    Kind kind = Kind.NORMAL;
    while (reader.next()) {
      switch (reader.field()) {
        case 1 -> text = reader.text();
        case 2 -> score = reader.number();
        case 3 -> {
          kind =
              switch (reader.integer()) {
                case 1 -> Kind.NORMAL;
                case 2 -> Kind.UNKNOWN;
                case 3 -> Kind.CONTROL;
                case 4 -> Kind.USER_DEFINED;
                case 5 -> Kind.UNUSED;
                case 6 -> Kind.BYTE;
                default -> throw ProtoReader.damaged(file);
              };
        }
        default -> reader.skip();
      }
    }
    return new Piece(text, score, kind);
  }

  /** The two messages that hold settings, with their defaults. */
  private static final class Settings {
    private int type = UNIGRAM;
    private boolean byteFallback;
    private boolean suffixed;
    private int unknown;
    private int begin = 1;
    private int end = 2;
    private String charsmap = "";
    private boolean prefixed = true;
    private boolean trimmed = true;
    private boolean escaped = true;

    void train(ProtoReader reader) {
      while (reader.next()) {
        switch (reader.field()) {
          case 3 -> type = reader.integer();
          case 24 -> suffixed = reader.integer() != 0;
          case 35 -> byteFallback = reader.integer() != 0;
          case 40 -> unknown = reader.integer();
          case 41 -> begin = reader.integer();
          case 42 -> end = reader.integer();
          default -> reader.skip();
        }
      }
    }

    void normalize(ProtoReader reader) {
      while (reader.next()) {
        switch (reader.field()) {
          case 2 -> charsmap = Base64.getEncoder().encodeToString(reader.bytes());
          case 3 -> prefixed = reader.integer() != 0;
          case 4 -> trimmed = reader.integer() != 0;
          case 5 -> escaped = reader.integer() != 0;
          default -> reader.skip();
        }
      }
    }

    SentencePieceModel model(Path file, ImmutableList<Piece> pieces) {
      if (pieces.isEmpty() || unknown < 0 || unknown >= pieces.size()) {
        throw ProtoReader.damaged(file);
      }
      if (type != UNIGRAM && type != BPE) {
        throw new BadInputException(
            "%s: SentencePiece's models of words or characters (model_type %d) are not supported"
                .formatted(file, type));
      }
      if (suffixed || !escaped) {
        throw new BadInputException(
            "%s: SentencePiece's %s is not supported"
                .formatted(
                    file, suffixed ? "treat_whitespace_as_suffix" : "escape_whitespaces = false"));
      }
      return new SentencePieceModel(
          file,
          pieces,
          type == UNIGRAM,
          byteFallback,
          unknown,
          token(pieces, begin),
          token(pieces, end),
          charsmap,
          prefixed,
          trimmed);
    }

    private static Optional<TokenizerParts.Token> token(ImmutableList<Piece> pieces, int id) {
      return id < 0 || id >= pieces.size() || pieces.get(id).kind() != Kind.CONTROL
          ? Optional.empty()
          : Optional.of(new TokenizerParts.Token(id, pieces.get(id).text()));
    }
  }
}
