# One image recipe for every member: MEMBER is broker, article, comment, popular or read-view.
FROM python:3.13-slim AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 VIRTUAL_ENV=/opt/venv PATH=/opt/venv/bin:$PATH
RUN python3 -m venv /opt/venv
WORKDIR /app
COPY constraints.txt ./

FROM base AS broker
COPY broker broker
RUN pip install --no-cache-dir --quiet -c constraints.txt ./broker
# Data lives here; mount a volume.
ENV KAFKA_LOG_DIRS=/var/lib/broker/data
VOLUME /var/lib/broker/data
EXPOSE 9092
ENTRYPOINT ["broker"]
CMD ["start"]

FROM base AS service
COPY libs libs
ARG MEMBER
COPY services/${MEMBER} services/${MEMBER}
RUN pip install --no-cache-dir --quiet -c constraints.txt ./libs/events ./libs/servicekit "./services/${MEMBER}"
WORKDIR /app/services/${MEMBER}
ENTRYPOINT ["python3", "manage.py"]
CMD ["web", "--host", "0.0.0.0", "--port", "8000"]
