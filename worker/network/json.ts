// Reading JSON of foreign tools (`ip -j`, `nft -j`) without trusting its shape. Pure.

export type Json = string | number | boolean | null | readonly Json[] | JsonObject
export interface JsonObject {
  readonly [name: string]: Json
}

/** Tools answer nothing at all, instead of an empty list, about what does not exist. */
export function parseJson(text: string): Json {
  return text.trim() === '' ? [] : JSON.parse(text)
}

/** The objects of a list; older versions of ip leave empty ones where their own filter dropped something. */
export function objects(value: Json | undefined): readonly JsonObject[] {
  return listOf(value)
    .map(objectOf)
    .filter((object) => Object.keys(object).length > 0)
}

export function listOf(value: Json | undefined): readonly Json[] {
  return Array.isArray(value) ? value : []
}

export function objectOf(value: Json | undefined): JsonObject {
  return isObject(value) ? value : {}
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function textOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : ''
}

export function numberOf(value: Json | undefined): number {
  return typeof value === 'number' ? value : 0
}
