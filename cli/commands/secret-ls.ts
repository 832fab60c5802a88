// tsswarm secret ls
import { listCommand } from '../payload-commands.ts'

export const command = listCommand('secret')
