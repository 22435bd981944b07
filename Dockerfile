# One image recipe for every member: MEMBER is broker, article, comment, popular or read-view.
FROM python:3.13-slim AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 \
    VIRTUAL_ENV=/opt/venv PATH=/opt/venv/bin:$PATH
WORKDIR /app
COPY constraints.txt ./
# setuptools builds the members; pinned as all else.
RUN python3 -m venv /opt/venv && pip install --quiet -c constraints.txt setuptools && \
    useradd --uid 1000 --no-create-home board

FROM base AS broker
COPY broker broker
# Data lives where the apache/kafka image keeps it, and belongs to the same user id: either can open it. Mount a volume there.
ENV KAFKA_LOG_DIRS=/var/lib/kafka/data
RUN pip install --quiet --no-build-isolation -c constraints.txt ./broker && \
    mkdir -p /var/lib/kafka/data && chown board /var/lib/kafka/data
EXPOSE 9092
USER board
ENTRYPOINT ["broker"]
CMD ["start"]

FROM base AS service
# What all services stand on, in a layer of its own.
COPY libs libs
RUN pip install --quiet --no-build-isolation -c constraints.txt ./libs/events ./libs/servicekit
ARG MEMBER
COPY services/${MEMBER} services/${MEMBER}
RUN pip install --quiet --no-build-isolation -c constraints.txt "./services/${MEMBER}"
WORKDIR /app/services/${MEMBER}
USER board
ENTRYPOINT ["python3", "manage.py"]
CMD ["web", "--host", "0.0.0.0", "--port", "8000"]
