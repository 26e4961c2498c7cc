package dev.gptq.hub;

import java.io.ByteArrayOutputStream;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** A repository of {@link FakeHub}, with one branch, main, unless it is called otherwise. */
public final class FakeRepo {
  final String api;
  boolean gated;
  boolean isPrivate;
  String visibility = "public";
  String commit = "0".repeat(40);

  /** Paths that are in large-file storage. */
  final List<String> large = new ArrayList<>();

  /** The files of each commit. */
  final Map<String, Map<String, byte[]>> commits = new LinkedHashMap<>();

  /** The listed entry of a file in place of the true one. */
  final Map<String, String> lies = new LinkedHashMap<>();

  private String branch = "main";

  FakeRepo(String api) {
    this.api = api;
    commits.put(commit, new TreeMap<>());
  }

  /** Calls its branch otherwise. */
  public FakeRepo branch(String name) {
    branch = name;
    return this;
  }

  /** The commit of a revision as it stands in an address; itself if it is one. */
  String commitOf(String revision) {
    return URLDecoder.decode(revision, StandardCharsets.UTF_8).equals(branch) ? commit : revision;
  }

  /** Makes a new commit with this file. */
  public FakeRepo file(String path, String text) {
    return file(path, text.getBytes(StandardCharsets.UTF_8));
  }

  /** Makes a new commit with this file in large-file storage. */
  public FakeRepo large(String path, byte[] bytes) {
    large.add(path);
    return file(path, bytes);
  }

  /** Makes a new commit with this file changed. */
  public FakeRepo file(String path, byte[] bytes) {
    Map<String, byte[]> files = new TreeMap<>(commits.get(commit));
    files.put(path, bytes);
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    files.forEach((name, content) -> {
      all.writeBytes(name.getBytes(StandardCharsets.UTF_8));
      all.writeBytes(content);
    });
    commit = hash("SHA-1", all.toByteArray());
    commits.put(commit, files);
    return this;
  }

  String digest(String path, byte[] bytes) {
    return large.contains(path) ? sha256(bytes) : git(bytes);
  }

  static String sha256(byte[] bytes) {
    return hash("SHA-256", bytes);
  }

  static String git(byte[] bytes) {
    ByteArrayOutputStream all = new ByteArrayOutputStream();
    all.writeBytes(("blob " + bytes.length + "\0").getBytes(StandardCharsets.US_ASCII));
    all.writeBytes(bytes);
    return hash("SHA-1", all.toByteArray());
  }

  private static String hash(String algorithm, byte[] bytes) {
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance(algorithm).digest(bytes));
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError(e);
    }
  }

  /** An entry of the list of files. */
  String entry(String revision, String path) {
    byte[] bytes = commits.get(revision).get(path);
    String lie = lies.get(path);
    if (lie != null) {
      return lie;
    }
    String small =
        "{\"type\":\"file\",\"path\":\"%s\",\"size\":%d,\"oid\":\"%s\""
            .formatted(path, bytes.length, git(bytes));
    return large.contains(path)
        ? small
            + ",\"lfs\":{\"oid\":\"%s\",\"size\":%d,\"pointerSize\":134}}"
                .formatted(sha256(bytes), bytes.length)
        : small + "}";
  }
}
