package dev.gptq.backend;

import com.google.common.collect.ImmutableMap;

/**
 * What every report, log and benchmark prints about the backend that ran.
 *
 * @param name name of the provider
 * @param device the device in words
 * @param features what was found and chosen: vector bits, threads, driver and library versions
 */
public record BackendInfo(String name, String device, ImmutableMap<String, String> features) {}
