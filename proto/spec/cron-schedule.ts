// The times of a cron schedule in a time zone. Pure: every question names the moment it is about. Not for what is done then.
// Where clocks are set forward, a time that does not exist comes right after the gap; where they are set back, a time of day comes once,
// and every hour comes twice, as the hours do.
// Source: cron(8); the times are reckoned by cron-parser with the time zones of Node.
import { CronExpressionParser } from 'cron-parser'

const words = ['@yearly', '@annually', '@monthly', '@weekly', '@daily', '@hourly']
const form =
  'write "MINUTE HOUR DAY MONTH WEEKDAY" such as "30 2 * * *" or "*/15 8-18 * * mon-fri", or one of ' +
  words.join(', ')

/** Why the text is no schedule, and what is; undefined: it is one. */
export function whyNoSchedule(schedule: string): string | undefined {
  const parts = schedule.trim().split(/\s+/)
  const isWord = words.includes(schedule.trim())
  if (!isWord && parts.length !== 5) return `is no schedule of five fields: ${form}`
  // Random times (H) would be others on another manager.
  if (!isWord && parts.some((part) => /h/i.test(part.replaceAll(/thu/gi, '')))) {
    return `has a field that is not known: ${form}`
  }
  try {
    CronExpressionParser.parse(schedule.trim(), { currentDate: new Date(0), tz: 'UTC' }).next()
    return undefined
  } catch (err) {
    const reason = err instanceof Error ? err.message : String(err)
    return `is no schedule (${reason}): ${form}`
  }
}

/** Whether it is the name of a time zone. */
export function isTimeZone(name: string): boolean {
  if (name === '' || /^[+-]/.test(name)) return false
  try {
    new Intl.DateTimeFormat('en', { timeZone: name })
    return true
  } catch {
    return false
  }
}

export interface Schedule {
  readonly schedule: string
  readonly timeZone: string
}

/** The first time of the schedule after that moment, in ms since 1970; undefined: there is none. Of what was checked before. */
export function nextTimeMs({ schedule, timeZone }: Schedule, afterMs: number): number | undefined {
  return timeNear({ schedule, timeZone }, afterMs, 'next')
}

/** The last time of the schedule up to that moment, itself included. */
export function lastTimeMs({ schedule, timeZone }: Schedule, untilMs: number): number | undefined {
  return timeNear({ schedule, timeZone }, untilMs + 1, 'prev')
}

function timeNear(
  { schedule, timeZone }: Schedule,
  fromMs: number,
  way: 'next' | 'prev',
): number | undefined {
  try {
    const options = { currentDate: new Date(fromMs), tz: timeZone }
    return CronExpressionParser.parse(schedule.trim(), options)[way]().getTime()
  } catch {
    // Beyond what its search reaches.
    return undefined
  }
}

/** In UTC and to the second: "2026-11-27 12:05:00 UTC". */
export function runTime(atMs: number): string {
  return `${new Date(atMs).toISOString().slice(0, 19).replace('T', ' ')} UTC`
}
