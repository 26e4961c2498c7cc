package dev.gptq.cli.console;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** A table of text with aligned columns; numbers to the right. */
public final class Table {
  private final List<List<String>> rows = new ArrayList<>();

  public Table(String... header) {
    rows.add(Arrays.asList(header));
  }

  public Table row(String... cells) {
    rows.add(Arrays.asList(cells));
    return this;
  }

  /** The same without columns in which no row says anything. */
  public Table withoutEmptyColumns() {
    int[] told =
        IntStream.range(0, rows.getFirst().size())
            .filter(c -> rows.stream().skip(1).anyMatch(row -> !row.get(c).isEmpty()))
            .toArray();
    Table table = new Table();
    table.rows.clear();
    for (List<String> row : rows) {
      table.row(Arrays.stream(told).mapToObj(row::get).toArray(String[]::new));
    }
    return table;
  }

  /** The rows, the header first. */
  public List<List<String>> rows() {
    return List.copyOf(rows);
  }

  /** Whether a cell is empty or a number, perhaps with a deviation or a unit. */
  public static boolean isNumber(String cell) {
    return cell.matches("([-+]?[0-9.]+(e[-+]?[0-9]+)?( ± [0-9.]+)?( ?[%A-Za-z]+)?)?");
  }

  public List<String> lines() {
    int columns = rows.getFirst().size();
    int[] widths = new int[columns];
    boolean[] numeric = new boolean[columns];
    for (int c = 0; c < columns; c++) {
      int column = c;
      widths[c] = rows.stream().mapToInt(row -> row.get(column).length()).max().orElse(0);
      numeric[c] = rows.stream().skip(1).allMatch(row -> isNumber(row.get(column)));
    }
    List<String> lines =
        new ArrayList<>(rows.stream().map(row -> line(row, widths, numeric)).toList());
    lines.add(1, Arrays.stream(widths).mapToObj("-"::repeat).collect(Collectors.joining("  ")));
    return lines;
  }

  private static String line(List<String> row, int[] widths, boolean[] numeric) {
    StringBuilder line = new StringBuilder();
    for (int c = 0; c < widths.length; c++) {
      String pad = " ".repeat(widths[c] - row.get(c).length());
      line.append(numeric[c] ? pad + row.get(c) : row.get(c) + pad).append("  ");
    }
    return line.toString().stripTrailing();
  }
}
