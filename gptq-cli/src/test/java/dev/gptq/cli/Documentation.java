package dev.gptq.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** The pages for users and their shell commands. */
final class Documentation {
  /** Stands on the line before a fence whose commands a test runs. */
  private static final String RUN = "<!-- run -->";

  private static final Pattern FENCE =
      Pattern.compile("^(<!-- run -->\\n)?```sh\\n(.*?)^```$", Pattern.MULTILINE | Pattern.DOTALL);
  private static final Pattern WORD = Pattern.compile("\"([^\"]*)\"|'([^']*)'|(\\S+)");
  private static final Pattern LINK = Pattern.compile("\\]\\(([^)#]+)(?:#[^)]*)?\\)");

  /**
   * A block of shell commands.
   *
   * @param runs whether it is marked as one that a test runs
   */
  record Block(boolean runs, String commands) {
    /** The commands, a line each: continued lines joined, comments gone. */
    List<String> lines() {
      return commands
          .replace("\\\n", " ")
          .lines()
          .map(line -> line.replaceFirst("(^|\\s)#.*", "").strip())
          .filter(line -> !line.isEmpty())
          .toList();
    }
  }

  private Documentation() {}

  static Path root() {
    return Path.of(System.getProperty("gptq.root"));
  }

  /** README, CONTRIBUTING and all pages under docs. */
  static List<Path> pages() throws IOException {
    try (Stream<Path> docs = Files.walk(root().resolve("docs"))) {
      Stream<Path> top =
          Stream.of("README.md", "CONTRIBUTING.md", "CHANGELOG.md").map(root()::resolve);
      return Stream.concat(top, docs.filter(file -> file.toString().endsWith(".md")))
          .sorted()
          .toList();
    }
  }

  static List<Block> blocks(Path page) throws IOException {
    List<Block> blocks = new ArrayList<>();
    Matcher fence = FENCE.matcher(Files.readString(page));
    while (fence.find()) {
      blocks.add(new Block(fence.group(1) != null, fence.group(2)));
    }
    return blocks;
  }

  /** The commands of a page that a test runs. */
  static List<String> commands(Path page) throws IOException {
    return blocks(page).stream()
        .filter(Block::runs)
        .flatMap(block -> block.lines().stream())
        .toList();
  }

  /** How many blocks a page marks as ones that a test runs. */
  static long marks(Path page) throws IOException {
    try (Stream<String> lines = Files.lines(page)) {
      return lines.filter(line -> line.strip().equals(RUN)).count();
    }
  }

  /** Links to files of this repository. */
  static List<String> links(Path page) throws IOException {
    return LINK.matcher(Files.readString(page))
        .results()
        .map(link -> link.group(1))
        .filter(link -> !link.contains("://"))
        .toList();
  }

  /** The words of a command as a shell splits them, up to a pipe or a redirection. */
  static String[] words(String line) {
    List<String> words = new ArrayList<>();
    Matcher word = WORD.matcher(line);
    while (word.find()) {
      String plain = word.group(3);
      if (plain != null && plain.matches("[|>&;].*|2>.*")) {
        break;
      }
      words.add(plain != null ? plain : word.group(1) != null ? word.group(1) : word.group(2));
    }
    return words.toArray(String[]::new);
  }
}
