// A SPI NOR flash chip whose content is a file of the emulator's host: instructions, status register and times of
// Winbond's W25Q128JV data sheet, rev. H, chapters 7 to 9, as far as such chips have them in common (JEDEC JESD216).
//
//     sysbus.spi1.flash_chip KeepIn @flash.bin
//
// The file's size is the chip's and a power of two. What the chip has done is with the host's kernel at once, so killing
// Renode loses nothing. A program clears bits and goes round within its page, an erase sets a sector's; both need the
// write latch, and take their typical time, in which the chip answers nothing but its status. Chip select is input 0.
//
// Not here: an operation that power fails inside of (it is done whole, at its beginning), protection, wear, dual and
// quad lines, fast read, the other sizes of erase, suspend. A chip without a file answers nothing.

using System.IO;

using Antmicro.Renode.Core;
using Antmicro.Renode.Exceptions;
using Antmicro.Renode.Logging;
using Antmicro.Renode.Peripherals.SPI;
using Antmicro.Renode.Time;

namespace Antmicro.Renode.Peripherals.Carbonmeter
{
    public class NorFlash : ISPIPeripheral, IGPIOReceiver
    {
        public NorFlash(IMachine machine)
        {
            this.machine = machine;
        }

        public void KeepIn(string path)
        {
            var opened = new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
            if(opened.Length < SectorBytes || opened.Length > MostBytes || (opened.Length & (opened.Length - 1)) != 0)
            {
                opened.Dispose();
                throw new RecoverableException(path + " is not 4 KiB to 16 MiB, and a power of two");
            }
            content = new byte[opened.Length];
            opened.Read(content, 0, content.Length);
            file = opened;
        }

        // Only power clears the latch; a reset of the processor leaves the chip as it is.
        public void Reset()
        {
        }

        public void OnGPIO(int number, bool isHigh)
        {
            if(isSelected == isHigh)
            {
                isSelected = !isHigh;
                if(isHigh)
                {
                    End();
                }
                count = 0;
            }
        }

        public byte Transmit(byte value)
        {
            if(!isSelected || content == null)
            {
                return NobodyDrives;
            }
            var answer = count == 0 ? Begin(value) : GoOn(value);
            count++;
            return answer;
        }

        public void FinishTransmission()
        {
        }

        private byte Begin(byte value)
        {
            instruction = value;
            address = 0;
            isRefused = (IsBusy && value != ReadStatus) || (isAsleep && value != Wake);
            if(isRefused)
            {
                this.Log(LogLevel.Warning, "instruction 0x{0:X2} while the chip is busy or asleep", value);
            }
            return NobodyDrives;
        }

        private byte GoOn(byte value)
        {
            if(isRefused)
            {
                return NobodyDrives;
            }
            switch(instruction)
            {
                case ReadStatus:
                    return (byte)((IsBusy ? BusyFlag : 0) | (isLatched ? LatchFlag : 0));
                case Identify:
                    return count <= identification.Length ? Identification(count - 1) : NobodyDrives;
                case Read:
                    return IsAddress(value) ? NobodyDrives : ReadNext();
                case Program:
                    if(!IsAddress(value))
                    {
                        // What is more than a page overwrites the page's beginning in the chip's buffer.
                        page[(address + programmed) % PageBytes] = value;
                        programmed++;
                    }
                    return NobodyDrives;
                case Erase:
                    IsAddress(value);
                    return NobodyDrives;
                default:
                    return NobodyDrives;
            }
        }

        private bool IsAddress(byte value)
        {
            if(count > AddressBytes)
            {
                return false;
            }
            address = (address << 8 | value) & (content.Length - 1);
            if(count == AddressBytes && instruction == Program)
            {
                programmed = 0;
                for(var place = 0; place < PageBytes; place++)
                {
                    page[place] = Erased;
                }
            }
            return true;
        }

        private byte ReadNext()
        {
            var value = content[address];
            address = (address + 1) & (content.Length - 1);
            return value;
        }

        private byte Identification(int place)
        {
            if(place < 2)
            {
                return identification[place];
            }
            byte capacity = 0;
            while(1L << capacity < content.Length)
            {
                capacity++;
            }
            return capacity;
        }

        // Chip select going high is what sets an instruction off.
        private void End()
        {
            if(count == 0 || isRefused || content == null)
            {
                return;
            }
            switch(instruction)
            {
                case WriteEnable:
                    isLatched = true;
                    break;
                case WriteDisable:
                    isLatched = false;
                    break;
                case Sleep:
                    isAsleep = true;
                    break;
                case Wake:
                    isAsleep = false;
                    break;
                case Program:
                    if(isLatched && count > AddressBytes + 1)
                    {
                        ProgramPage();
                        StayBusy(ProgramMicroseconds);
                    }
                    break;
                case Erase:
                    if(isLatched && count == AddressBytes + 1)
                    {
                        EraseSector();
                        StayBusy(EraseMicroseconds);
                    }
                    break;
            }
        }

        private void ProgramPage()
        {
            var start = address & ~(PageBytes - 1);
            for(var place = 0; place < PageBytes; place++)
            {
                content[start + place] &= page[place];
            }
            Keep(start, PageBytes);
        }

        private void EraseSector()
        {
            var start = address & ~(SectorBytes - 1);
            for(var place = 0; place < SectorBytes; place++)
            {
                content[start + place] = Erased;
            }
            Keep(start, SectorBytes);
        }

        private void Keep(int start, int size)
        {
            file.Position = start;
            file.Write(content, start, size);
            file.Flush();
        }

        private void StayBusy(ulong microseconds)
        {
            isLatched = false;
            busyUntil = Now + TimeInterval.FromMicroseconds(microseconds);
        }

        private bool IsBusy { get { return Now < busyUntil; } }

        private TimeInterval Now { get { return machine.ElapsedVirtualTime.TimeElapsed; } }

        private readonly IMachine machine;
        private readonly byte[] page = new byte[PageBytes];
        private readonly byte[] identification = { 0xEF, 0x40, 0x00 };
        private FileStream file;
        private byte[] content;
        private TimeInterval busyUntil;
        private bool isSelected;
        private bool isLatched;
        private bool isAsleep;
        private bool isRefused;
        private byte instruction;
        private int address;
        // Bytes since chip select went low, and of these what is to be programmed.
        private int count;
        private int programmed;

        private const byte WriteEnable = 0x06;
        private const byte WriteDisable = 0x04;
        private const byte ReadStatus = 0x05;
        private const byte Identify = 0x9F;
        private const byte Read = 0x03;
        private const byte Program = 0x02;
        private const byte Erase = 0x20;
        private const byte Sleep = 0xB9;
        private const byte Wake = 0xAB;

        private const byte BusyFlag = 0x01;
        private const byte LatchFlag = 0x02;

        private const int AddressBytes = 3;
        private const int PageBytes = 256;
        private const int SectorBytes = 4096;
        private const long MostBytes = 1 << 24;
        private const byte Erased = 0xFF;
        private const byte NobodyDrives = 0xFF;

        // Typical, of its table 9.6.
        private const ulong ProgramMicroseconds = 400;
        private const ulong EraseMicroseconds = 45000;
    }
}
